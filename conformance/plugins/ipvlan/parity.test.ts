import { test } from "vitest"
import type { Node } from "../../lab/node.ts"
import type { Config } from "../bridge/network.ts"
import { expectSame, expectSamePrint, expectSwappable } from "../macvlan/compared.ts"
import { dualOfLan, ofLan } from "../macvlan/network.ts"
import { fixed, ipvlan, PREVIOUS } from "./network.ts"

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "at 0.4.0": () => ({ cniVersion: "0.4.0", ipam: fixed("10.20.0.7/24") }),
  "IPv4, mtu, mode l3s": (node) => ({ mode: "l3s", mtu: 1400, ipam: ofLan(node) }),
  "addresses and routes of a previous result": () => ({ prevResult: PREVIOUS }),
}

/** The setting by which IPv6 addresses are announced, which the reference makes also if there are none. */
const OTHERWISE = /^ipv6\/conf\/eth0\/ndisc_notify/

const SAME =
  "result, node and pod are the same as with the reference after ADD and after DEL: dual stack, routes and dns"

// In the VM each of some hundred sysctls takes its time.
test(SAME, { timeout: 300_000 }, () => {
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.20.0.9" }]
  const dns = { nameservers: ["10.0.0.10"], search: ["a.b"] }
  expectSame(ipvlan, (node) => ({ dns, ipam: { ...dualOfLan(node), routes } }), OTHERWISE)
})

test.each(Object.entries(NETWORKS))(
  "the result is that of the reference byte for byte, and pods of either are checked and removed by the other: %s",
  (_, config) => expectSwappable(ipvlan, config),
)

test("the result at 0.2.0 is printed byte for byte as by the reference", () =>
  expectSamePrint(ipvlan, () => ({ cniVersion: "0.2.0", ipam: fixed("10.20.0.7/24") })))

test("in a chain without `master` the result is printed byte for byte as by the reference", () =>
  expectSamePrint(ipvlan, () => ({ master: undefined, prevResult: PREVIOUS })))
