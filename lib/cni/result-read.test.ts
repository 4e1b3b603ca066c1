import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Json, parseJson } from "./json.ts"
import type { Result } from "./result.ts"
import { printResult } from "./result-print.ts"
import { readDelegatedResult, readResult } from "./result-read.ts"
import { type Version, versions } from "./version.ts"

const early: readonly Version[] = ["0.1.0", "0.2.0"]
const rich: readonly Version[] = ["0.3.0", "0.3.1", "0.4.0"]
const modern: readonly Version[] = ["1.0.0", "1.1.0"]

const json = (value: unknown): Json => parseJson(JSON.stringify(value))

function read(value: unknown, version: Version): Result {
  return readResult(json(value), "prevResult", version)
}

/** Returns `result` as the object that is printed in `version`. */
function printed(result: Result, version: Version): unknown {
  return JSON.parse(printResult(result, version))
}

const interfaces = [
  { name: "cni0", mac: "02:00:00:00:00:01" },
  { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/pod" },
]
const interfaces11 = [interfaces[0], { ...interfaces[1], mtu: 1450, socketPath: "/run/s", pciID: "0000:00:1f.6" }]
const addresses = [
  { interface: 0, address: "10.1.2.3/24", gateway: "10.1.2.1" },
  { address: "10.1.9.9/16" },
  { interface: 1, address: "fd00::3/64", gateway: "fd00::1" },
]
const versioned = addresses.map((ip) => ({ version: ip.address.includes(":") ? "6" : "4", ...ip }))
const plainRoutes = [
  { dst: "0.0.0.0/0" },
  { dst: "10.9.0.0/16", gw: "10.1.2.254" },
  { dst: "fd01::/32", gw: "fd00::9" },
]
const routes = [
  plainRoutes[0],
  { ...plainRoutes[1], mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 253 },
  plainRoutes[2],
]
const dns = { nameservers: ["10.0.0.53"], domain: "example.org", search: ["example.org"], options: ["ndots:5"] }

const ip4 = { ip: "10.1.2.3/24", gateway: "10.1.2.1", routes: plainRoutes.slice(0, 2) }
const ip6 = { ip: "fd00::3/64", gateway: "fd00::1", routes: plainRoutes.slice(2) }

const shapes = {
  early: { ip4, ip6, dns },
  rich: { interfaces, ips: versioned, routes, dns },
  modern: { interfaces: interfaces11, ips: addresses, routes, dns },
}
const richWithoutExtras = { interfaces, ips: addresses, routes, dns }
/** The parts of a result that an early one has, in the newer forms. */
const fromEarly = {
  ips: [addresses[0], addresses[2]].map((ip) => ({ address: ip?.address, gateway: ip?.gateway })),
  routes: plainRoutes,
  dns,
}
const richFromEarly = {
  ...fromEarly,
  ips: fromEarly.ips.map((ip, index) => ({ version: index === 0 ? "4" : "6", ...ip })),
}

/** The Go library's conversions of results of the first versions to the second ones. */
const conversions: [string, readonly Version[], object, readonly Version[], object][] = [
  ["stays as it is", early, shapes.early, early, shapes.early],
  ["gets addresses without interface, ip4 first", early, shapes.early, rich, richFromEarly],
  ["gets addresses without interface, ip4 first", early, shapes.early, modern, fromEarly],
  ["keeps the first address of each family and plain routes", rich, shapes.rich, early, shapes.early],
  ["stays as it is", rich, shapes.rich, rich, shapes.rich],
  ["loses the version of its addresses", rich, shapes.rich, modern, richWithoutExtras],
  ["keeps the first address of each family and plain routes", modern, shapes.modern, early, shapes.early],
  ["loses what interfaces learnt later, not what routes did", modern, shapes.modern, rich, shapes.rich],
  ["stays as it is", modern, shapes.modern, modern, shapes.modern],
]

const pairs = conversions.flatMap(([what, sources, source, targets, target]) =>
  sources.flatMap((from) => targets.map((to) => [from, to, what, source, target] as const)),
)

describe("a result", () => {
  it("is converted between every two versions", () => expect(pairs).toHaveLength(versions.length ** 2))

  it.each(pairs)("of %s printed as %s %s", (from, to, _what, source, target) => {
    expect(printed(read({ cniVersion: from, ...source }, from), to)).toEqual({ cniVersion: to, ...target })
  })

  it.each(versions)("of %s without gateways, routes and DNS stays without them", (from) => {
    const source = early.includes(from)
      ? { ip4: { ip: "10.1.2.3/24" } }
      : { ips: [{ version: rich.includes(from) ? "4" : undefined, address: "10.1.2.3/24" }] }
    const result = read({ cniVersion: from, ...source }, from)
    expect(printed(result, "0.2.0")).toEqual({ cniVersion: "0.2.0", ip4: { ip: "10.1.2.3/24" }, dns: {} })
    expect(printed(result, "0.4.0")).toEqual({
      cniVersion: "0.4.0",
      ips: [{ version: "4", address: "10.1.2.3/24" }],
      dns: {},
    })
    expect(printed(result, "1.1.0")).toEqual({ cniVersion: "1.1.0", ips: [{ address: "10.1.2.3/24" }] })
  })

  it.each([...rich, ...modern])("of %s tells interface 0 from no interface", (version) => {
    const ips = [
      { address: "10.1.2.3/24", interface: 0 },
      { address: "10.1.2.4/24" },
      { address: "10.1.2.5/24", interface: null },
    ]
    expect(read({ ips }, version).ips.map((ip) => ip.interface)).toEqual([0, undefined, undefined])
  })

  it.each([...rich, ...modern])("of %s tells table and scope 0 from none", (version) => {
    const [zero, none] = read({ routes: [{ dst: "::/0", table: 0, scope: 0 }, { dst: "::/0" }] }, version).routes
    expect([zero?.table, zero?.scope]).toEqual([0, 0])
    expect([none?.table, none?.scope]).toEqual([undefined, undefined])
  })

  it.each(early)("of %s leaves a route without gateway without one", (version) => {
    const [route] = read(
      { ip4: { ip: "10.1.2.3/24", gateway: "10.1.2.1", routes: [{ dst: "0.0.0.0/0" }] } },
      version,
    ).routes
    expect(route?.gw).toBeUndefined()
  })

  it("survives a trip through its own version", () => {
    const address = fc
      .oneof(
        fc.tuple(fc.ipV4(), fc.nat(32)),
        fc.tuple(
          fc.nat(0xffff).map((low) => `fd00::${low.toString(16)}`),
          fc.nat(128),
        ),
      )
      .map((pair) => pair.join("/"))
    const document = fc.record({
      ips: fc.array(fc.record({ address, interface: fc.option(fc.nat(3)) }), { minLength: 1 }),
      routes: fc.array(fc.record({ dst: address, table: fc.option(fc.nat(300)), mtu: fc.option(fc.nat(9000)) })),
      interfaces: fc.array(fc.record({ name: fc.string(), mtu: fc.option(fc.nat(9000)) })),
    })
    fc.assert(
      fc.property(document, fc.constantFrom(...versions), (source, version) => {
        const bytes = printResult(read(source, "1.1.0"), version)
        expect(printResult(readResult(parseJson(bytes), "result", version), version)).toBe(bytes)
      }),
    )
  })

  it.each(versions)("of %s may be empty", (version) => {
    for (const empty of [{}, { dns: {} }, { dns: null, ips: null, interfaces: null, routes: null, ip4: null }]) {
      expect(read(empty, version)).toEqual(read({}, "1.1.0"))
    }
  })
})

describe("readResult", () => {
  it.each([
    ["early", early],
    ["rich", rich],
    ["modern", modern],
  ])("accepts the %s versions for each other and refuses all others", (_, family) => {
    for (const version of family) {
      for (const named of [...versions, "9.9.9", "1.0", "x"]) {
        const reading = () => read({ cniVersion: named }, version)
        if (family.some((one) => one === named)) expect(reading).not.toThrow()
        else {
          const supported = family.map((one) => `"${one}"`).join(" ")
          expect(reading).toThrow(
            expect.objectContaining({
              code: 6,
              message: `cannot decode prevResult: result type supports [${supported}] but its cniVersion is "${named}"`,
            }),
          )
        }
      }
    }
  })

  it.each([
    ["mtu", -1, 0xffffffff],
    ["advmss", 2 ** 32, 0xffffffff],
    ["priority", 2 ** 32 + 5, 0xffffffff],
    ["table", -1, 0xffffffff],
    ["table", 2 ** 32 + 254, 0xffffffff],
    ["scope", 256, 0xff],
  ])("refuses a route whose %s is %i, which the kernel would take for another number", (key, value, max) => {
    expect(() => read({ routes: [{ dst: "10.9.0.0/16", [key]: value }] }, "1.1.0")).toThrow(
      expect.objectContaining({
        code: 7,
        message: `invalid network config: prevResult.routes[0].${key}: ${value} is not between 0 and ${max}`,
      }),
    )
    expect(read({ routes: [{ dst: "10.9.0.0/16", [key]: max }] }, "1.1.0").routes[0]).toMatchObject({ [key]: max })
  })

  it.each([undefined, null, ""])("takes a result whose cniVersion is %j for the config's version", (cniVersion) => {
    expect(read({ cniVersion, ip4: { ip: "10.1.2.3/24" } }, "0.2.0").ips).toHaveLength(1)
    expect(read({ cniVersion, ips: [{ address: "10.1.2.3/24" }] }, "1.0.0").ips).toHaveLength(1)
  })

  it.each([
    ["1.1.0", [], "prevResult: expected an object, got a list"],
    ["1.1.0", { cniVersion: 1 }, "prevResult.cniVersion: expected a string, got the number 1"],
    ["1.1.0", { ips: {} }, "prevResult.ips: expected a list, got an object"],
    ["1.1.0", { ips: [{ address: 7 }] }, "prevResult.ips[0].address: expected a string, got the number 7"],
    ["1.1.0", { ips: [{ address: "::1/128" }, {}] }, "prevResult.ips[1].address: missing"],
    [
      "0.4.0",
      { ips: [{ address: "::1/128", interface: "0" }] },
      'prevResult.ips[0].interface: expected a whole number, got the string "0"',
    ],
    ["0.4.0", { interfaces: ["eth0"] }, 'prevResult.interfaces[0]: expected an object, got the string "eth0"'],
    ["0.4.0", { interfaces: [null] }, "prevResult.interfaces[0]: expected an object, got null"],
    [
      "1.1.0",
      { interfaces: [{ mtu: "1500" }] },
      'prevResult.interfaces[0].mtu: expected a whole number, got the string "1500"',
    ],
    ["1.1.0", { routes: [{ gw: "10.0.0.1" }] }, "prevResult.routes[0].dst: missing"],
    [
      "1.1.0",
      { routes: [{ dst: "::/0", table: 1.5 }] },
      "prevResult.routes[0].table: expected a whole number, got the number 1.5",
    ],
    ["1.1.0", { dns: [] }, "prevResult.dns: expected an object, got a list"],
    ["1.1.0", { dns: { search: "x" } }, 'prevResult.dns.search: expected a list, got the string "x"'],
    ["0.2.0", { ip4: "10.1.2.3/24" }, 'prevResult.ip4: expected an object, got the string "10.1.2.3/24"'],
    ["0.2.0", { ip6: { gateway: "::1" } }, "prevResult.ip6.ip: missing"],
    ["0.2.0", { ip4: { ip: "10.1.2.3/24", routes: [{}] } }, "prevResult.ip4.routes[0].dst: missing"],
  ] as [Version, object, string][])("refuses %s %j, naming the path", (version, value, message) => {
    expect(() => read(value, version)).toThrow(
      expect.objectContaining({ code: 6, message: `cannot decode ${message}` }),
    )
  })

  it("refuses text that is no address, naming the path", () => {
    expect(() => read({ ips: [{ address: "10.1.2.3" }] }, "1.1.0")).toThrow("prevResult.ips[0].address")
    expect(() => read({ routes: [{ dst: "::/0", gw: "here" }] }, "1.1.0")).toThrow("prevResult.routes[0].gw")
  })

  it("takes the family of an address from the address, whatever version it claims", () => {
    const result = read({ ips: [{ version: "4", address: "fd00::3/64" }, { address: "10.1.2.3/24" }] }, "0.4.0")
    expect(printed(result, "0.2.0")).toEqual({
      cniVersion: "0.2.0",
      ip4: { ip: "10.1.2.3/24" },
      ip6: { ip: "fd00::3/64" },
      dns: {},
    })
  })

  it("keeps what a 0.4.0 result says of 1.1.0, as the Go library does for routes only", () => {
    const [link] = read({ interfaces: [{ name: "eth0", mtu: 1450 }] }, "0.4.0").interfaces
    expect(link?.mtu).toBe(1450)
  })

  it("reads keys in any case and ignores unknown ones", () => {
    const result = read({ IPs: [{ Address: "10.1.2.3/24", Interface: 0, color: "red" }], extra: [1] }, "1.1.0")
    expect(result.ips).toHaveLength(1)
    expect(result.ips[0]?.interface).toBe(0)
  })
})

describe("readDelegatedResult", () => {
  const delegated = (value: unknown, version: Version) => readDelegatedResult(json(value), "result of ipam", version)

  it.each(versions)("reads an answer in 0.2.0 and one in 1.0.0 under a config of %s", (version) => {
    expect(delegated({ cniVersion: "0.2.0", ip4: { ip: "10.1.2.3/24" } }, version).ips).toHaveLength(1)
    expect(delegated({ cniVersion: "1.0.0", ips: [{ address: "10.1.2.3/24" }] }, version).ips).toHaveLength(1)
  })

  it.each([undefined, null, ""])("reads an answer whose cniVersion is %j in the config's version", (cniVersion) => {
    expect(delegated({ cniVersion, ip4: { ip: "10.1.2.3/24" } }, "0.1.0").ips).toHaveLength(1)
    expect(delegated({ cniVersion, ips: [{ version: "4", address: "10.1.2.3/24" }] }, "0.3.1").ips).toHaveLength(1)
  })

  it("refuses a version nobody knows", () => {
    expect(() => delegated({ cniVersion: "9.9.9" }, "1.1.0")).toThrow(
      'cannot decode result of ipam: result type supports ["1.0.0" "1.1.0"] but its cniVersion is "9.9.9"',
    )
  })
})
