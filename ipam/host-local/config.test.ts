import { describe, expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { versions } from "../../lib/cni/version.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import { readHostLocal, readPlace } from "./config.ts"
import { formatSet } from "./range-set.ts"

function network(document: object) {
  const full = { cniVersion: "1.1.0", name: "pods", ...document }
  return matchConfig(readConfig(new TextEncoder().encode(JSON.stringify(full))), versions)
}

function read(document: object, args = "") {
  return readHostLocal(network(document), args)
}

function sets(document: object): string[] {
  return read(document).sets.map(formatSet)
}

describe("range sets", () => {
  test("the older form, a single range in ipam itself, makes one set", () => {
    const ipam = { subnet: "10.1.2.0/24", rangeStart: "10.1.2.9", rangeEnd: "10.1.2.20", gateway: "10.1.2.30" }
    const { sets } = read({ ipam })
    expect(sets.map(formatSet)).toEqual(["10.1.2.9-10.1.2.20"])
    expect(sets.map(([{ gateway }]) => gateway && formatAddress(gateway))).toEqual(["10.1.2.30"])
  })

  test("a pair of addresses has a gateway if the plugin makes the node one, and else none", () => {
    const ipam = { ranges: [[{ subnet: "10.1.2.6/31" }], [{ subnet: "fd00::/127", gateway: "fd00::" }]] }
    const gateways = (more: object) =>
      read({ ipam, ...more }).sets.map(([{ gateway }]) => gateway && formatAddress(gateway))
    expect(gateways({ isGateway: false })).toEqual([undefined, "fd00::"])
    for (const key of ["isGateway", "isDefaultGateway"])
      expect(gateways({ [key]: true })).toEqual(["10.1.2.7", "fd00::"])
  })

  test("the newer form makes one set of each list, with the defaults filled in", () => {
    const ranges = [[{ subnet: "10.1.2.0/24" }, { subnet: "10.1.4.0/24" }], [{ subnet: "fd00::/120" }]]
    expect(sets({ ipam: { ranges } })).toEqual(["10.1.2.1-10.1.2.254,10.1.4.1-10.1.4.254", "fd00::1-fd00::ff"])
  })

  test("come in the order runtime, older form, newer form", () => {
    const document = {
      runtimeConfig: { ipRanges: [[{ subnet: "10.3.0.0/24" }], [{ subnet: "10.4.0.0/24" }]] },
      ipam: { subnet: "10.1.0.0/24", ranges: [[{ subnet: "10.2.0.0/24" }]] },
    }
    expect(sets(document).map((set) => set.slice(0, 4))).toEqual(["10.3", "10.4", "10.1", "10.2"])
  })

  test("the runtime's keys match in any case, as containerd writes them", () => {
    const document = { runtimeConfig: { ipRanges: [[{ Subnet: "10.244.1.0/24" }]] }, ipam: {} }
    expect(sets(document)).toEqual(["10.244.1.1-10.244.1.254"])
  })

  test("without a subnet the other keys of the older form are ignored", () => {
    const ipam = { rangeStart: "10.9.9.9", gateway: "10.9.9.1", ranges: [[{ subnet: "10.2.0.0/24" }]] }
    expect(sets({ ipam })).toEqual(["10.2.0.1-10.2.0.254"])
  })

  test("there must be one", () => {
    expect(() => read({ ipam: {} })).toThrow("no IP ranges specified")
    expect(() => read({ ipam: { ranges: [] } })).toThrow("no IP ranges specified")
  })

  test("must not overlap", () => {
    const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.2.0.0/24" }], [{ subnet: "10.1.0.128/25" }]]
    expect(() => read({ ipam: { ranges } })).toThrow("range set 0 overlaps with 2")
    const adjacent = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.1.0.0/24" }]]
    expect(() => read({ ipam: { ranges: adjacent } })).toThrow("range set 0 overlaps with 1")
  })

  test("a bad one is named by its place in the configuration", () => {
    const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.2.0.0/24" }, { subnet: "10.3.0.1/24" }]]
    expect(() => read({ ipam: { ranges } })).toThrow("ipam.ranges[1][1].subnet")
    expect(() => read({ ipam: { subnet: "10.3.0.1/24" } })).toThrow("ipam.subnet")
    const runtimeConfig = { ipRanges: [[{ subnet: "10.3.0.1/24" }]] }
    expect(() => read({ runtimeConfig, ipam: {} })).toThrow("runtimeConfig.ipRanges[0][0].subnet")
  })
})

describe("before CNI 0.3.0", () => {
  const v4 = [{ subnet: "10.1.0.0/24" }]
  const v6 = [{ subnet: "fd00::/64" }]

  test("one set of each family is accepted", () => {
    expect(sets({ cniVersion: "0.2.0", ipam: { ranges: [v4, v6] } })).toHaveLength(2)
  })

  test.each([
    ["IPv4", [v4, v6, [{ subnet: "10.2.0.0/24" }]]],
    ["IPv6", [v6, [{ subnet: "fd01::/64" }]]],
  ])("a second %s set is not", (_, ranges) => {
    expect(() => read({ cniVersion: "0.2.0", ipam: { ranges } })).toThrow(
      "CNI version 0.2.0 does not support more than 1 address per family",
    )
    expect(sets({ cniVersion: "0.3.0", ipam: { ranges } })).toHaveLength(ranges.length)
  })
})

describe("the place of the leases", () => {
  test("is the Go plugin's unless the configuration says otherwise", () => {
    const place = { dataDir: "/var/lib/cni/networks", network: "pods" }
    expect(readPlace(network({ ipam: {} }))).toEqual(place)
    expect(readPlace(network({ ipam: { dataDir: "" } }))).toEqual(place)
    expect(readPlace(network({ ipam: { dataDir: "/run/leases" } }))).toEqual({
      dataDir: "/run/leases",
      network: "pods",
    })
  })

  test("is known even if ranges are broken, so that DEL can free the lease", () => {
    expect(readPlace(network({ ipam: { subnet: "nonsense", ranges: 7 } }))).toMatchObject({ network: "pods" })
  })

  test.each(["leases", "./leases", "../leases", "/run/lea\0ses"])("is refused as %j", (dataDir) => {
    expect(() => readPlace(network({ ipam: { dataDir } }))).toThrow(
      expect.objectContaining({ code: 7, message: expect.stringContaining("ipam.dataDir") }),
    )
  })
})

describe("the ipam object", () => {
  test("must be there", () => {
    expect(() => read({})).toThrow("IPAM config missing 'ipam' key")
    expect(() => read({ ipam: null })).toThrow("IPAM config missing 'ipam' key")
  })

  test("has routes that go into the result as they are", () => {
    const routes = [
      { dst: "0.0.0.0/0" },
      { dst: "192.168.0.0/16", gw: "10.10.5.1", mtu: 1400, advmss: 1360, priority: 7, table: 100, scope: 0 },
    ]
    const read0 = read({ ipam: { subnet: "10.1.0.0/24", routes } }).routes
    expect(read0.map(({ mtu, table, scope }) => ({ mtu, table, scope }))).toEqual([
      { mtu: undefined, table: undefined, scope: undefined },
      { mtu: 1400, table: 100, scope: 0 },
    ])
  })

  test("may name a resolv.conf by its absolute path", () => {
    const ipam = { subnet: "10.1.0.0/24" }
    expect(read({ ipam: { ...ipam, resolvConf: "/etc/resolv.conf" } }).resolvConf).toBe("/etc/resolv.conf")
    expect(read({ ipam: { ...ipam, resolvConf: "" } }).resolvConf).toBeUndefined()
    expect(() => read({ ipam: { ...ipam, resolvConf: "resolv.conf" } })).toThrow("ipam.resolvConf")
  })

  test.each([
    ["ipam", { ipam: "host-local" }],
    ["ipam.ranges", { ipam: { ranges: {} } }],
    ["ipam.ranges[0]", { ipam: { ranges: [{ subnet: "10.1.0.0/24" }] } }],
    ["ipam.dataDir", { ipam: { subnet: "10.1.0.0/24", dataDir: 7 } }],
    ["ipam.routes[0].dst", { ipam: { subnet: "10.1.0.0/24", routes: [{}] } }],
    ["runtimeConfig.ipRanges", { ipam: { subnet: "10.1.0.0/24" }, runtimeConfig: { ipRanges: "all" } }],
  ])("with %s of a wrong type is refused with code 6", (path, document) => {
    expect(() => read(document)).toThrow(
      expect.objectContaining({ code: 6, message: expect.stringContaining(`${path}: `) }),
    )
  })
})
