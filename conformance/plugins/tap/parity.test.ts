import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal } from "../bridge/network.ts"
import { expectSame, expectSamePrint, expectSwappable, SWAPS } from "./compared.ts"
import { tap } from "./network.ts"

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "layer 2": () => ({}),
  "layer 2 with owner, mtu, a MAC address": () => ({ owner: 1000, mtu: 1400, mac: "02:00:00:00:00:11" }),
  "layer 2 with group and multiQueue": () => ({ group: 1000, multiQueue: true }),
  "a port of a bridge": () => ({ bridge: "br0" }),
  IPv4: (node) => ({ ipam: hostLocal(node) }),
  "dual stack": (node) => ({ ipam: hostLocal(node, DUAL) }),
  "IPv4 on a port of a bridge": (node) => ({ bridge: "br0", ipam: hostLocal(node) }),
  "routes and dns": (node) => ({
    dns: { nameservers: ["10.0.0.10"], search: ["a.b"] },
    ipam: hostLocal(node, ["10.244.1.0/24"], {
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.9" }],
    }),
  }),
  "addresses and dns of static, the latter of which is not passed on": () => ({
    ipam: { type: "static", addresses: [{ address: "10.20.0.7/24" }], dns: { nameservers: ["10.0.0.10"] } },
  }),
}

/** Nobody is there who could answer who looks for a duplicate. */
const OTHERWISE = /^ipv6\/conf\/eth0\/(accept_dad|ndisc_notify)/

function withBridge(pod: Pod): Pod {
  pod.ip("link", "add", "br0", "type", "bridge")
  return pod
}

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test("is the same as with the reference: the result, the node and the pod, after ADD and after DEL", () =>
    expectSame(tap, config, OTHERWISE, withBridge))

  test.each(SWAPS)("added by %s, is checked and removed by %s", (first, second) =>
    expectSwappable(tap, config, [first, second], withBridge),
  )
})

test("with owner and group the reference leaves packet headers on, which whoever opens the tap chooses anew; ours as for any other", () => {
  using node = new Node()
  const look = (implementation: Implementation) => {
    const pod = node.pod()
    tap(node, { owner: 0, group: 0 }, implementation).connect(pod)
    return pod.link("eth0")?.linkinfo?.info_data
  }
  const [ours, reference] = [look("ours"), look("reference")]
  expect(ours).toMatchObject({ pi: false, vnet_hdr: false, user: "root", group: "root" })
  expect({ ...ours, pi: true, vnet_hdr: true }).toEqual(reference)
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => {
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.1" }]
    expectSamePrint(tap, (node) => ({ cniVersion, ipam: hostLocal(node, ["10.244.1.0/24"], { routes }) }))
  },
)
