import { describe, expect, it } from "vitest"
import { matchConfig, readableResult, readConfig, readPrevResult } from "./config.ts"
import { type Version, versions } from "./version.ts"

const bytesOf = (text: string) => new TextEncoder().encode(text)
const read = (text: string) => readConfig(bytesOf(text))
const failing = (code: number, message: string, details = expect.anything()) =>
  expect.objectContaining({ code, message, details })

describe("readConfig", () => {
  it("keeps stdin byte for byte", () => {
    const text = '{ "cniVersion" : "1.1.0",\n"name":"net","x":1.0e0}\n'
    const config = read(text)
    expect(config.bytes).toEqual(bytesOf(text))
    expect([config.name, config.cniVersion]).toEqual(["net", "1.1.0"])
  })

  it.each(["", "not json", '{"name":"n"', '{"name":"n"}{}', '{"name":"n"}\u0000', "[".repeat(100_000)])(
    "refuses %.20j with code 6",
    (text) => {
      const message = expect.stringMatching(/^cannot decode the network config: ./)
      expect(() => read(text)).toThrow(expect.objectContaining({ code: 6, message }))
    },
  )

  it.each([
    ["a byte order mark", [0xef, 0xbb, 0xbf, 0x7b, 0x7d], "byte order mark"],
    ["UTF-16", [0xff, 0xfe, 0x7b, 0, 0x7d, 0], "UTF-16"],
    ["UTF-16 of the other order", [0xfe, 0xff, 0, 0x7b, 0, 0x7d], "UTF-16"],
    ["UTF-16 without a mark", [0x7b, 0, 0x7d, 0], "UTF-16"],
    ["an x", [0x78], "one JSON object"],
    ["nothing", [], "one JSON object"],
  ])("says what to do about a config that begins with %s", (_, bytes, words) => {
    const details = expect.stringContaining(words)
    expect(() => readConfig(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: 6, details }))
  })

  it.each(["[]", '"name"', "null", "5", "true", '[{"name":"n"}]'])("refuses %s with code 6: no object", (text) => {
    expect(() => read(text)).toThrow(failing(6, "cannot decode the network config: it is not a JSON object"))
  })

  it.each(["{}", '{"name":""}', '{"name":null}', '{"cniVersion":"1.1.0"}'])("misses the name in %s", (text) => {
    expect(() => read(text)).toThrow(failing(7, "missing network name"))
  })

  it.each(["some-%%name", "../etc", "a/b", "-n", "a b", "a\n"])("refuses the name %j with code 7", (name) => {
    expect(() => read(JSON.stringify({ name }))).toThrow(
      failing(7, "invalid characters found in network name", expect.stringContaining(JSON.stringify(name))),
    )
  })

  it.each([
    ['{"name":5}', "cannot decode name: expected a string, got the number 5"],
    ['{"name":"n","cniVersion":1.0}', "cannot decode cniVersion: expected a string, got the number 1.0"],
    ['{"name":"n","cniVersion":["1.0.0"]}', "cannot decode cniVersion: expected a string, got a list"],
  ])("refuses %s with code 6", (text, message) => {
    expect(() => read(text)).toThrow(failing(6, message))
  })

  it("reads invalid UTF-8 as U+FFFD, as Go does, so that it fails where it matters", () => {
    const bytes = Uint8Array.of(...bytesOf('{"name":"n'), 0xff, ...bytesOf('"}'))
    expect(() => readConfig(bytes)).toThrow(
      failing(7, "invalid characters found in network name", expect.stringContaining("n\ufffd")),
    )
  })

  it("finds its keys in any case", () => {
    const config = read('{"NAME":"net","CNIVersion":"0.4.0"}')
    expect([config.name, config.cniVersion]).toEqual(["net", "0.4.0"])
  })
})

describe("matchConfig", () => {
  it("takes a config without version for 0.1.0", () => {
    expect(matchConfig(read('{"name":"n"}'), versions).cniVersion).toBe("0.1.0")
    expect(matchConfig(read('{"name":"n","cniVersion":""}'), versions).cniVersion).toBe("0.1.0")
  })

  it("refuses what the plugin does not support", () => {
    expect(() => matchConfig(read('{"name":"n","cniVersion":"0.3.1"}'), ["0.4.0"])).toThrow(
      failing(1, "incompatible CNI versions", 'config is "0.3.1", plugin supports ["0.4.0"]'),
    )
  })
})

describe("readPrevResult", () => {
  function prevResult(cniVersion: Version, value: unknown) {
    return readPrevResult(matchConfig(read(JSON.stringify({ name: "n", cniVersion, prevResult: value })), versions))
  }

  it.each(versions)("is nothing to worry about when absent in %s", (version) => {
    expect(prevResult(version, undefined)).toBeUndefined()
    expect(prevResult(version, null)).toBeUndefined()
  })

  it("is read in the config's version", () => {
    expect(prevResult("0.2.0", { ip4: { ip: "10.0.0.2/24" } })?.ips).toHaveLength(1)
    expect(prevResult("0.2.0", { ips: [{ address: "10.0.0.2/24" }] })?.ips).toHaveLength(0)
    expect(prevResult("1.1.0", { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] })?.ips).toHaveLength(1)
  })

  it.each([
    ["1.1.0", "0.4.0"],
    ["0.4.0", "1.0.0"],
    ["0.3.0", "0.2.0"],
    ["0.1.0", "0.3.0"],
    ["1.1.0", "5678.456"],
  ] as [Version, string][])("of a config of %s may not be of %s", (version, named) => {
    expect(() => prevResult(version, { cniVersion: named })).toThrow(
      expect.objectContaining({ code: 6, message: expect.stringContaining(`its cniVersion is "${named}"`) }),
    )
  })
})

describe("readableResult", () => {
  const resultOf = (prevResult: unknown) =>
    readableResult(matchConfig(read(JSON.stringify({ name: "n", cniVersion: "1.0.0", prevResult })), versions))

  it("is the result of ADD", () => {
    const { interfaces } = resultOf({ cniVersion: "1.0.0", interfaces: [{ name: "eth0" }] })
    expect(interfaces.map(({ name }) => name)).toEqual(["eth0"])
  })

  it.each([undefined, "nonsense", 5, { cniVersion: "9.9.9" }, { ips: [{ address: "no address" }] }])(
    "is empty if DEL gets %j",
    (prevResult) => {
      expect(resultOf(prevResult)).toMatchObject({ interfaces: [], ips: [], routes: [] })
    },
  )
})
