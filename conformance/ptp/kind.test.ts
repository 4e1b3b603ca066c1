import { expect, test } from "vitest"
import { leases } from "../bridge/network.ts"
import { Chain } from "../lab/chain.ts"
import type { NetworkPlugin } from "../lab/cnitool.ts"
import { Node, type Pod } from "../lab/node.ts"
import { veths } from "./network.ts"

/** What a kind cluster's own network is, but for its last plugin, portmap. */
function kindnet(node: Node): Chain["list"] {
  const ptp = {
    type: "ptp",
    ipMasq: false,
    ipam: {
      type: "host-local",
      dataDir: `${node.dir}/ipam`,
      routes: [{ dst: "0.0.0.0/0" }],
      ranges: [[{ subnet: "10.244.1.0/24" }]],
    },
    mtu: 1500,
  }
  return { cniVersion: "0.3.1", name: "kindnet", plugins: [ptp as unknown as NetworkPlugin] }
}

test("kind's default network works unchanged: ptp and host-local at 0.3.1", () => {
  using node = new Node()
  const list = kindnet(node)
  const attach = (netns: Pod) => {
    const args = `K8S_POD_INFRA_CONTAINER_ID=${netns.containerId};K8S_POD_NAME=web;IgnoreUnknown=1;K8S_POD_NAMESPACE=default`
    const chain = new Chain(node, list, { netns, args })
    expect(chain.add()).toMatchObject([{ exitCode: 0, stderr: "" }])
    return chain
  }
  const pods = [node.pod(), node.pod()] as const
  const chains = pods.map(attach)
  expect(pods.map((pod) => pod.addresses("eth0"))).toEqual([["10.244.1.2/24"], ["10.244.1.3/24"]])
  expect([pods[0].pings("10.244.1.3"), pods[0].pings("10.244.1.1"), node.pings("10.244.1.2")]).toEqual([
    true,
    true,
    true,
  ])
  for (const chain of chains) expect(chain.del()).toMatchObject([{ exitCode: 0, stdout: "", stderr: "" }])
  for (const chain of chains) expect(chain.del()).toMatchObject([{ exitCode: 0, stdout: "" }])
  expect([veths(node), leases(node, "kindnet")]).toEqual([[], []])
})
