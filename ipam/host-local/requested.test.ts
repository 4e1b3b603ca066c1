import { describe, expect, test } from "vitest"
import { Fields } from "../../lib/cni/fields.ts"
import { isObject, parseJson } from "../../lib/cni/json.ts"
import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { readRangeSet } from "./range-set.ts"
import { assignRequested, readRequested } from "./requested.ts"

function requested(document: object, args = ""): string[] {
  const object = parseJson(JSON.stringify(document))
  if (!isObject(object)) throw new Error("not an object")
  return readRequested(new Fields(object), args).map(formatAddress)
}

describe("requested addresses", () => {
  test.each(["10.0.0.2", "10.0.0.2/24"])("come from CNI_ARGS: IP=%s", (ip) => {
    expect(requested({}, `IP=${ip}`)).toEqual(["10.0.0.2"])
  })

  test.each([
    ["10.0.0.2", "fd00::5"],
    ["10.0.0.2/24", "fd00::5/64"],
  ])("come from args and runtimeConfig: %s, %s", (...ips) => {
    expect(requested({ args: { cni: { ips } } })).toEqual(["10.0.0.2", "fd00::5"])
    expect(requested({ runtimeConfig: { ips } })).toEqual(["10.0.0.2", "fd00::5"])
  })

  test("add up, each once", () => {
    const document = {
      args: { cni: { ips: ["10.0.0.3", "10.0.0.2/16"] } },
      runtimeConfig: { ips: ["10.0.0.4", "10.0.0.3"] },
    }
    expect(requested(document, "IP=10.0.0.2")).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4"])
  })

  test("are none if nobody asks", () => {
    expect(requested({ args: {}, runtimeConfig: {} }, "IgnoreUnknown=1;K8S_POD_NAME=web")).toEqual([])
    expect(requested({}, "IP=")).toEqual([])
  })

  test.each([
    [{}, "IP=10.0.0", 4, "CNI_ARGS: IP"],
    [{}, "GATEWAY=10.0.0.1", 4, "unknown args"],
    [{ args: { cni: { ips: ["10.0.0.2", "ten"] } } }, "", 7, "args.cni.ips[1]"],
    [{ runtimeConfig: { ips: [""] } }, "", 7, "runtimeConfig.ips[0]"],
    [{ runtimeConfig: { ips: [10] } }, "", 6, "runtimeConfig.ips[0]"],
  ])("that make no sense are refused: %j %s", (document, args, code, words) => {
    expect(() => requested(document, args)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(words) }),
    )
  })
})

describe("each requested address is assigned to the set that holds it", () => {
  const ranges = [
    [{ subnet: "10.0.0.0/24", rangeStart: "10.0.0.10", rangeEnd: "10.0.0.20" }, { subnet: "10.0.1.0/24" }],
    [{ subnet: "fd00::/64" }],
  ]
  const sets = ranges.map((set) => readRangeSet(parseJson(JSON.stringify(set)), "set"))
  const assign = (...texts: string[]) => {
    const addresses = texts.map(parseAddress).filter((address): address is Address => address !== undefined)
    return assignRequested(sets, addresses).map((address) => address && formatAddress(address))
  }

  test("one, in the first or second range of a set, or in another set", () => {
    expect(assign("10.0.0.10")).toEqual(["10.0.0.10", undefined])
    expect(assign("10.0.1.66")).toEqual(["10.0.1.66", undefined])
    expect(assign("fd00::9")).toEqual([undefined, "fd00::9"])
  })

  test("one of each family, in any order", () => {
    expect(assign("fd00::9", "10.0.0.20")).toEqual(["10.0.0.20", "fd00::9"])
  })

  test.each([
    [["10.9.9.9"], "10.9.9.9", "10.9.9.9 is in none of this network's subnets"],
    [["10.0.0.9"], "10.0.0.9", "10.0.0.9 not in range set 10.0.0.10-10.0.0.20,10.0.1.1-10.0.1.254"],
    [["10.0.0.21"], "10.0.0.21", "10.0.0.21 not in range set 10.0.0.10-10.0.0.20,10.0.1.1-10.0.1.254"],
    [["10.0.0.11", "10.0.1.2"], "10.0.1.2", "10.0.1.2: only one address can be had from range set"],
    [["10.9.9.9", "fd00::9", "fd01::"], "10.9.9.9 fd01::", "fd01:: is in none of this network's subnets"],
  ])("and none is left over: %j", (texts, left, reason) => {
    expect(() => assign(...texts)).toThrow(
      expect.objectContaining({
        code: 103,
        message: `failed to allocate all requested IPs: ${left}`,
        details: expect.stringContaining(reason),
      }),
    )
  })
})
