import { describe, expect, test } from "vitest"
import type { IpConfig } from "../../lib/cni/result.ts"
import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { formatPrefix, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"
import type { LinkRoute } from "../../lib/netlink/route/route.ts"
import { planLayer3 } from "./layer3.ts"

const ip = (address: string, gateway?: string): IpConfig => ({
  address: parsePrefix(address) as Prefix,
  gateway: gateway === undefined ? undefined : (parseAddress(gateway) as Address),
})

/** `10.1.0.0/24 via 10.1.0.1 from 10.1.0.5` */
function shown({ dst, gateway, source }: LinkRoute): string {
  const part = (word: string, address: Address | undefined) => (address ? ` ${word} ${formatAddress(address)}` : "")
  return formatPrefix(dst) + part("via", gateway) + part("from", source)
}

function plan(...ips: IpConfig[]) {
  const { podRoutes, hostRoutes, hostAddresses } = planLayer3(ips)
  return { pod: podRoutes.map(shown), host: hostRoutes.map(shown), gateways: hostAddresses.map(formatPrefix) }
}

describe("a pod's link", () => {
  test("leads to the gateway, and by it to the pod's network; the node's leads to the pod", () => {
    expect(plan(ip("10.1.0.5/24", "10.1.0.1"))).toEqual({
      pod: ["10.1.0.1/32 from 10.1.0.5", "10.1.0.0/24 via 10.1.0.1 from 10.1.0.5"],
      host: ["10.1.0.5/32"],
      gateways: ["10.1.0.1/32"],
    })
  })

  test("has one gateway of each family", () => {
    expect(plan(ip("10.1.0.5/24", "10.1.0.1"), ip("fd00::5/64", "fd00::1")).gateways).toEqual([
      "10.1.0.1/32",
      "fd00::1/128",
    ])
  })

  test("of a single address leads to the gateway alone, wherever that is", () => {
    expect(plan(ip("10.1.0.5/32", "10.9.0.1")).pod).toEqual(["10.9.0.1/32 from 10.1.0.5"])
    expect(plan(ip("fd00::5/128", "fe80::1")).pod).toEqual(["fe80::1/128 from fd00::5"])
  })

  test("of addresses without gateway has a link-local one", () => {
    expect(plan(ip("10.1.0.5/24"), ip("fd00::5/64")).gateways).toEqual(["169.254.1.1/32", "fe80::1/128"])
  })

  test("leads to a gateway and a network that two addresses share only once", () => {
    expect(plan(ip("10.1.0.5/24", "10.1.0.1"), ip("10.1.0.6/24", "10.1.0.1"))).toEqual({
      pod: ["10.1.0.1/32 from 10.1.0.5", "10.1.0.0/24 via 10.1.0.1 from 10.1.0.5"],
      host: ["10.1.0.5/32", "10.1.0.6/32"],
      gateways: ["10.1.0.1/32"],
    })
  })
})

test("every address is on the pod's interface, the second in the list, and says its gateway", () => {
  const { ips } = planLayer3([{ ...ip("10.1.0.5/24"), interface: 7 }])
  expect(ips.map(({ gateway, interface: at }) => [formatAddress(gateway), at])).toEqual([["169.254.1.1", 1]])
})
