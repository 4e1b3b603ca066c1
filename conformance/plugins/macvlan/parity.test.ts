import { describe, test } from "vitest"
import type { Node } from "../../lab/node.ts"
import type { Config } from "../bridge/network.ts"
import { expectSame, expectSamePrint, expectSwappable } from "./compared.ts"
import { dualOfLan, macvlan, OUTSIDE, ofLan } from "./network.ts"

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "layer 2": () => ({}),
  "layer 2 in mode private, mtu, bcqueuelen": () => ({ mode: "private", mtu: 1400, bcqueuelen: 3000 }),
  IPv4: (node) => ({ ipam: ofLan(node) }),
  "dual stack": (node) => ({ ipam: dualOfLan(node) }),
  "routes, dns, a MAC address": (node) => ({
    mac: "02:00:00:00:00:11",
    dns: { nameservers: ["10.0.0.10"], search: ["a.b"] },
    ipam: ofLan(node, { routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.20.0.9" }] }),
  }),
  "addresses and dns of static, the latter of which is not passed on": () => ({
    ipam: { type: "static", addresses: [{ address: "10.20.0.7/24" }], dns: { nameservers: ["10.0.0.10"] } },
  }),
  "the pod's own link": (node) => ({ linkInContainer: true, ipam: ofLan(node) }),
}

/** The setting by which IPv6 addresses are announced, which the reference makes also if there are none. */
const OTHERWISE = /^ipv6\/conf\/eth0\/ndisc_notify/

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test("is the same as with the reference: the result, the node and the pod, after ADD and after DEL", () =>
    expectSame(macvlan, config, OTHERWISE))

  test("pods made by either are checked and removed by the other", () => expectSwappable(macvlan, config))
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => {
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: OUTSIDE }]
    expectSamePrint(macvlan, (node) => ({ cniVersion, ipam: ofLan(node, { routes }) }))
  },
)
