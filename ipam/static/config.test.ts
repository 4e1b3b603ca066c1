import { describe, expect, test } from "vitest"
import { CniError } from "../../lib/cni/errors.ts"
import { Fields } from "../../lib/cni/fields.ts"
import type { JsonObject } from "../../lib/cni/json.ts"
import type { Version } from "../../lib/cni/version.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import { formatPrefix } from "../../lib/ip/prefix.ts"
import { readStatic } from "./config.ts"

const CONFIGURED = { addresses: [{ address: "10.1.0.5/24", gateway: "10.1.0.1" }] }

function read(config: JsonObject, args = "", cniVersion: Version = "1.0.0") {
  const fields = new Fields(config)
  return readStatic({ name: "net", cniVersion, fields, bytes: new Uint8Array() }, args)
}

/** `10.1.0.5/24 via 10.1.0.1` */
function addresses(config: JsonObject, args = ""): string[] {
  const via = (gateway: Parameters<typeof formatAddress>[0] | undefined) =>
    gateway ? ` via ${formatAddress(gateway)}` : ""
  return read(config, args).addresses.map(({ address, gateway }) => formatPrefix(address) + via(gateway))
}

describe("addresses", () => {
  test("keep their order, their host bits and their gateways", () => {
    const list = [...CONFIGURED.addresses, { address: "fd00::5/64" }, { address: "10.2.0.9/16", gateway: "" }]
    expect(addresses({ ipam: { addresses: list } })).toEqual(["10.1.0.5/24 via 10.1.0.1", "fd00::5/64", "10.2.0.9/16"])
  })

  test("of CNI_ARGS come after the configured ones", () => {
    expect(addresses({ ipam: CONFIGURED }, "IP=10.9.0.5/24, fd09::5/64")).toEqual([
      "10.1.0.5/24 via 10.1.0.1",
      "10.9.0.5/24",
      "fd09::5/64",
    ])
  })

  test("of CNI_ARGS have the gateways that lie in their network, configured ones never", () => {
    const args = "IP=10.9.0.5/24,11.9.0.5/24;GATEWAY=10.9.0.1,10.1.0.77"
    expect(addresses({ ipam: CONFIGURED }, args)).toEqual([
      "10.1.0.5/24 via 10.1.0.1",
      "10.9.0.5/24 via 10.9.0.1",
      "11.9.0.5/24",
    ])
  })

  test("of args replace the others, those of the runtime replace them again", () => {
    const args = { cni: { ips: ["10.8.0.5/24"] } }
    const runtimeConfig = { ips: ["10.7.0.5/24", "fd07::5/64"] }
    expect(addresses({ ipam: CONFIGURED, args }, "IP=10.9.0.5/24")).toEqual(["10.8.0.5/24"])
    expect(addresses({ ipam: CONFIGURED, args, runtimeConfig }, "IP=10.9.0.5/24")).toEqual([
      "10.7.0.5/24",
      "fd07::5/64",
    ])
  })

  test("are not replaced by an empty list", () => {
    expect(addresses({ ipam: CONFIGURED, args: { cni: { ips: [] } }, runtimeConfig: { ips: [] } })).toHaveLength(1)
  })
})

describe("what is refused", () => {
  const bad = "10.1.0.5"
  const cases: [string, JsonObject, string, number, string][] = [
    ["no ipam", {}, "", 7, "IPAM config missing 'ipam' key"],
    ["no ipam but addresses of the runtime", { runtimeConfig: { ips: ["10.1.0.5/24"] } }, "", 7, "missing 'ipam' key"],
    ["no ipam but addresses of args", { args: { cni: { ips: ["10.1.0.5/24"] } } }, "", 7, "missing 'ipam' key"],
    [
      "a configured address",
      { ipam: { addresses: [{ address: bad }] } },
      "",
      7,
      `ipam.addresses[0].address: the 'address' field is expected to be in CIDR notation, got: '${bad}'`,
    ],
    ["an address that is not there", { ipam: { addresses: [{}] } }, "", 7, "got: ''"],
    ["a gateway", { ipam: { addresses: [{ address: "10.1.0.5/24", gateway: "x" }] } }, "", 7, "not an IP address"],
    [
      "IP of CNI_ARGS",
      { ipam: {} },
      `IP=${bad}`,
      4,
      `the 'ip' field is expected to be in CIDR notation, got: '${bad}'`,
    ],
    ["GATEWAY of CNI_ARGS", { ipam: {} }, "IP=10.1.0.5/24;GATEWAY=x", 4, "invalid gateway address: x"],
    [
      "an address of args, though the runtime's count",
      { ipam: {}, args: { cni: { ips: [bad] } }, runtimeConfig: { ips: ["10.1.0.5/24"] } },
      "",
      7,
      `args.cni.ips[0]: an entry in the 'ips' field is NOT in CIDR notation, got: '${bad}'`,
    ],
    ["an address of the runtime", { ipam: {}, runtimeConfig: { ips: ["x"] } }, "", 7, "NOT in CIDR notation, got: 'x'"],
  ]

  test.each(cases)("%s", (_, config, args, code, message) => {
    expect(() => read(config, args)).toThrow(CniError)
    expect(() => read(config, args)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  test.each(["0.1.0", "0.2.0"] as const)("two addresses of a family at %s, not one of each", (version) => {
    const two = { ipam: { addresses: [{ address: "10.1.0.5/24" }, { address: "10.2.0.5/24" }] } }
    const each = { ipam: { addresses: [{ address: "10.1.0.5/24" }, { address: "fd00::5/64" }] } }
    expect(() => read(two, "", version)).toThrow(`CNI version ${version} does not support more than 1 address`)
    expect(read(each, "", version).addresses).toHaveLength(2)
  })
})
