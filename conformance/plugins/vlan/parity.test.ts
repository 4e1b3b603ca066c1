import { test } from "vitest"
import type { Config } from "../bridge/network.ts"
import { fixed } from "../ipvlan/network.ts"
import { expectSame, expectSamePrint, expectSwappable } from "../macvlan/compared.ts"
import { dualOfLan } from "../macvlan/network.ts"
import { vlan } from "./network.ts"

const NETWORKS: Readonly<Record<string, () => Config>> = {
  "at 0.4.0": () => ({ cniVersion: "0.4.0", ipam: fixed("10.20.0.7/24") }),
  "VLAN 0, mtu": () => ({ vlanId: 0, mtu: 1400, ipam: fixed("10.20.0.7/24") }),
}

/** The settings by which addresses are announced as the link comes up: not at all by the reference, by ours if there are any. */
const OTHERWISE = /^ipv(4\/conf\/eth0\/arp_notify|6\/conf\/eth0\/ndisc_notify)/

const SAME =
  "result, node and pod are the same as with the reference after ADD and after DEL: dual stack, routes and dns"

// In the VM each of some hundred sysctls takes its time.
test(SAME, { timeout: 300_000 }, () => {
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.20.0.9" }]
  const dns = { nameservers: ["10.0.0.10"], search: ["a.b"] }
  expectSame(vlan, (node) => ({ dns, ipam: { ...dualOfLan(node), routes } }), OTHERWISE)
})

test.each(Object.entries(NETWORKS))(
  "the result is that of the reference byte for byte, and pods of either are checked and removed by the other: %s",
  (_, config) => expectSwappable(vlan, config),
)

test("the result at 0.2.0 is printed byte for byte as by the reference", () =>
  expectSamePrint(vlan, () => ({ cniVersion: "0.2.0", ipam: fixed("10.20.0.7/24") })))
