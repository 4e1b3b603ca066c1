import { test } from "vitest"
import type { NetworkList } from "../../lab/cnitool.ts"
import { hold } from "../explained.ts"

const cniVersion = "1.0.0"
const named = (name: string, ifname: string, ...plugins: NetworkList["plugins"]) => ({
  ...{ network: { cniVersion, name, plugins }, ifname },
  again: ifname !== "eth0",
})

/** The VM is slow beside others. */
const timeout = 600_000

test("ipvlan, vlan, dummy and vrf in one pod: the script that explain prints does what ADD does", { timeout }, () => {
  const local = { type: "host-local", subnet: "192.0.2.0/24", routes: [{ dst: "10.96.0.0/12" }] }
  const dual = { type: "host-local", ranges: [[{ subnet: "10.1.1.0/24" }], [{ subnet: "fd00:1::/64" }]] }
  const fixed = (...addresses: string[]) => ({ type: "static", addresses: addresses.map((address) => ({ address })) })
  const inPod = { master: "net1", linkInContainer: true }
  hold([
    named(
      ...(["lan", "eth0"] as const),
      { type: "ipvlan", mode: "l3s", mtu: 1300, ipam: local },
      { type: "vrf", vrfname: "blue", table: 7 },
    ),
    named("trunk", "net1", { type: "vlan", master: "up0", vlanId: 5, mtu: 1400, ipam: dual }),
    named(
      ...(["loop", "net2"] as const),
      { type: "dummy", ipam: fixed("10.1.9.9/24", "fd00:9::9/64") },
      { type: "vrf", vrfname: "blue" },
    ),
    named("inner", "net3", { type: "vlan", ...inPod, vlanId: 6, ipam: fixed("10.1.2.9/24") }),
  ])
})
