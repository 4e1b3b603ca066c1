import { expect, test } from "vitest"
import { Chain } from "../../lab/chain.ts"
import { Node } from "../../lab/node.ts"
import { hostLocal, Network } from "../bridge/network.ts"
import { macvlan, OUTSIDE, ofLan, plugIn } from "./network.ts"

/** As Multus calls it: the pod's own network first, then the one that an annotation asks for. */
test("a macvlan net1 beside the eth0 of bridge: each is reached its own way, and leaves without the other", () => {
  using node = new Node()
  const outside = plugIn(node)
  const cluster = new Network(node, { isDefaultGateway: true, ipam: hostLocal(node) })
  const lan = { name: "macvlan-conf", cniVersion: "0.3.1", plugins: [{ ...macvlan(node).config, ipam: ofLan(node) }] }
  const [pod, neighbour] = [node.pod(), node.pod()] as const
  const [first, second] = [pod, neighbour].map((netns) => {
    cluster.connect(netns)
    return new Chain(node, lan as unknown as Chain["list"], { netns, ifname: "net1" })
  })
  expect([first?.add(), second?.add()]).toMatchObject([[{ exitCode: 0 }], [{ exitCode: 0 }]])
  expect([pod.addresses("eth0"), pod.addresses("net1")]).toEqual([["10.244.1.2/24"], ["10.20.0.100/24"]])
  expect(pod.ip("route", "show", "default")[0]).toMatchObject({ gateway: "10.244.1.1", dev: "eth0" })
  expect([pod.pings(OUTSIDE), pod.pings("10.20.0.101"), pod.pings("10.244.1.3")]).toEqual([true, true, true])
  expect([outside.pings("10.20.0.100"), outside.pings("10.20.0.101")]).toEqual([true, true])

  expect(first?.del()).toMatchObject([{ exitCode: 0, stdout: "" }])
  expect([pod.link("net1"), pod.pings("10.244.1.1")]).toEqual([undefined, true])
  expect(cluster.del(neighbour)).toMatchObject({ exitCode: 0, stdout: "" })
  expect([neighbour.link("eth0"), neighbour.pings(OUTSIDE)]).toEqual([undefined, true])
})
