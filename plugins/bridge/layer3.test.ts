import { describe, expect, test } from "vitest"
import { emptyResult, type IpConfig, type Route } from "../../lib/cni/result.ts"
import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { formatPrefix, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"
import type { BridgeConfig } from "./config.ts"
import { type Layer3, planGateways } from "./layer3.ts"

const address = (text: string) => parseAddress(text) as Address
const prefix = (text: string) => parsePrefix(text) as Prefix
const ip = (text: string, gateway?: string): IpConfig => ({
  address: prefix(text),
  ...(gateway ? { gateway: address(gateway) } : {}),
})
const route = (dst: string, gw?: string): Route => ({ dst: prefix(dst), ...(gw ? { gw: address(gw) } : {}) })

const config: BridgeConfig = {
  bridge: "cni0",
  isGateway: false,
  isDefaultGateway: false,
  forceAddress: false,
  mtu: 0,
  hairpinMode: false,
  promiscMode: false,
  vlan: 0,
  vlanTrunk: undefined,
  preserveDefaultVlan: false,
  enableDad: false,
  disableContainerInterface: false,
  portIsolation: false,
  ipMasq: undefined,
  macspoofchk: false,
  ipamType: "host-local",
  dns: undefined,
}
const gateway = { ...config, isGateway: true }
const defaultGateway = { ...gateway, isDefaultGateway: true }

const plan = (ips: IpConfig[], routes: Route[], wanted: BridgeConfig) =>
  asText(planGateways({ ...emptyResult, ips, routes }, wanted))

function asText({ ips, routes, gateways }: Pick<Layer3, "ips" | "routes" | "gateways">) {
  return {
    gateways: ips.map((found) => found.gateway && formatAddress(found.gateway)),
    bridge: gateways.map(formatPrefix),
    routes: routes.map(({ dst, gw }) => `${formatPrefix(dst)}${gw ? ` via ${formatAddress(gw)}` : ""}`),
  }
}

test("every address is on the pod's interface, the third in the list, whatever IPAM says", () => {
  const ips = [{ ...ip("10.1.2.3/24"), interface: 0 }, ip("fd00::5/64")]
  expect(planGateways({ ...emptyResult, ips }, config).ips.map((found) => found.interface)).toEqual([2, 2])
})

describe("gateways", () => {
  test.each([
    ["10.1.2.6/31", "10.1.2.7"],
    ["10.1.2.7/31", "10.1.2.6"],
    ["fd00::/127", "fd00::1"],
    ["fd00::1/127", "fd00::"],
    ["10.1.2.9/32", "10.1.2.10"],
  ])("of %s, if IPAM gives none, is %s", (pod, other) => {
    expect(plan([ip(pod)], [], gateway).gateways).toEqual([other])
  })

  test("of a bridge that is none are only those that IPAM gave", () => {
    expect(plan([ip("10.1.2.3/24"), ip("10.1.3.3/24", "10.1.3.9")], [], config)).toEqual({
      gateways: [undefined, "10.1.3.9"],
      bridge: [],
      routes: [],
    })
  })

  test("are the network's first address if IPAM gave none", () => {
    expect(plan([ip("10.1.2.3/24"), ip("fd00:1::ff/64")], [], gateway)).toMatchObject({
      gateways: ["10.1.2.1", "fd00:1::1"],
      bridge: ["10.1.2.1/24", "fd00:1::1/64"],
    })
    expect(plan([ip("10.1.2.77/26")], [], gateway).gateways).toEqual(["10.1.2.65"])
  })

  test("that IPAM gave are taken as they are, with the length of the pod's prefix", () => {
    expect(plan([ip("10.1.2.3/16", "10.1.9.9")], [], gateway).bridge).toEqual(["10.1.9.9/16"])
  })

  test("come IPv4 first, otherwise in IPAM's order", () => {
    const ips = ["fd00:1::5/64", "10.1.0.5/24", "fd00:2::5/64", "10.2.0.5/24"].map((text) => ip(text))
    expect(plan(ips, [], gateway).bridge).toEqual(["10.1.0.1/24", "10.2.0.1/24", "fd00:1::1/64", "fd00:2::1/64"])
  })

  test("do not put the result's addresses in another order", () => {
    const ips = [ip("fd00:1::5/64"), ip("10.1.0.5/24")]
    expect(plan(ips, [], gateway).gateways).toEqual(["fd00:1::1", "10.1.0.1"])
  })
})

describe("default routes", () => {
  test("are not added if the bridge is a gateway but not the default one", () => {
    expect(plan([ip("10.1.2.3/24")], [route("10.0.0.0/8")], gateway).routes).toEqual(["10.0.0.0/8"])
  })

  test("go by the gateway, one per family, behind IPAM's routes", () => {
    const ips = ["10.1.2.3/24", "10.1.3.3/24", "fd00:1::5/64", "fd00:2::5/64"].map((text) => ip(text))
    expect(plan(ips, [route("10.0.0.0/8")], defaultGateway).routes).toEqual([
      "10.0.0.0/8",
      "0.0.0.0/0 via 10.1.2.1",
      "::/0 via fd00:1::1",
    ])
  })

  test("of IPAM's with a gateway stay the only ones of their family", () => {
    const ips = [ip("10.1.2.3/24"), ip("fd00:1::5/64")]
    expect(plan(ips, [route("0.0.0.0/0", "10.1.2.9")], defaultGateway).routes).toEqual([
      "0.0.0.0/0 via 10.1.2.9",
      "::/0 via fd00:1::1",
    ])
  })

  test("of IPAM's without a gateway count too: a second one by the same next hop would make ADD fail", () => {
    const ips = [ip("10.1.2.3/24"), ip("fd00:1::5/64")]
    expect(plan(ips, [route("0.0.0.0/0"), route("::/0")], defaultGateway).routes).toEqual(["0.0.0.0/0", "::/0"])
  })

  test("are told apart from routes to half of everything, and from other families' default routes", () => {
    expect(plan([ip("10.1.2.3/24")], [route("0.0.0.0/1"), route("::/0")], defaultGateway).routes).toEqual([
      "0.0.0.0/1",
      "::/0",
      "0.0.0.0/0 via 10.1.2.1",
    ])
  })

  test("do not change the list that IPAM gave", () => {
    const routes: Route[] = []
    planGateways({ ...emptyResult, ips: [ip("10.1.2.3/24")], routes }, defaultGateway)
    expect(routes).toEqual([])
  })
})
