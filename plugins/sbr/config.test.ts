import { describe, expect, test } from "vitest"
import { readConfig } from "../../lib/cni/config.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { emptyResult, type Interface } from "../../lib/cni/result.ts"
import { formatPrefix, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"
import { refusalOf } from "../../lib/testing/refusal.ts"
import { listOwnIps, readSbrConfig, readTable, requireOwnIps } from "./config.ts"

function config(keys: object): NetworkConfig {
  const document = JSON.stringify({ name: "net", cniVersion: "1.0.0", ...keys })
  return { ...readConfig(new TextEncoder().encode(document)), cniVersion: "1.0.0" }
}

describe("table", () => {
  test.each([undefined, 1, 5000, 0xffffffff])("may be %j, for ADD and for DEL", (table) => {
    expect(readSbrConfig(config({ table }))).toEqual({ table })
    expect(readTable(config({ table }))).toBe(table)
  })

  test.each([
    [0, 7],
    [-1, 7],
    [0x100000000, 7],
    ["100", 6],
    [1.5, 6],
  ])("%j is refused with code %i", (table, code) => {
    expect(refusalOf(() => readSbrConfig(config({ table })))[0]).toBe(code)
  })

  test.each(["100", [100], {}, 0, -1])("%j is none to DEL", (table) => {
    expect(readTable(config({ table }))).toBeUndefined()
  })
})

describe("the interface's addresses", () => {
  const named = (name: string): Interface => ({ name, mac: "", sandbox: "" })
  const result = {
    ...emptyResult,
    interfaces: [named("veth0"), named("net1")],
    ips: [0, 1, 7, undefined].map((index, at) => ({
      address: parsePrefix(`10.1.2.${at}/24`) as Prefix,
      interface: index,
    })),
  }

  test("are those given to it, and those given to none that is listed", () => {
    const own = listOwnIps(result, "net1").map(({ address }) => formatPrefix(address))
    expect(own).toEqual(["10.1.2.1/24", "10.1.2.2/24", "10.1.2.3/24"])
  })

  test("are required: without any, ADD is refused", () => {
    const others = { ...result, ips: result.ips.slice(0, 2) }
    expect(refusalOf(() => requireOwnIps(others, "eth0"))).toEqual([
      7,
      expect.stringContaining("No IP addresses supplied on interface: eth0"),
    ])
  })
})
