import { expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { type Config, hostLocal, leased, Network } from "../bridge/network.ts"
import { ofLan, plugIn } from "../macvlan/network.ts"
import { tuning } from "./network.ts"

const MAC = "02:00:00:00:00:7a"

const FIRST: Readonly<Record<string, (node: Node) => Config>> = {
  bridge: (node) => ({ isGateway: true, ipam: hostLocal(node) }),
  macvlan: (node) => ({ master: "uplink", ipam: ofLan(node) }),
  tap: (node) => ({ ipam: hostLocal(node) }),
}

const MAKERS: readonly Implementation[] = ["ours", "reference"]
const CASES = Object.keys(FIRST).flatMap((type) => MAKERS.map((maker) => [type, maker] as const))

// tuning's DEL, which comes before those of the plugins that it is chained behind, sets back the MAC address that the result of ADD tells.
test.each(CASES)("a MAC address of tuning's keeps no interface of %s, made by %s, nor a rule of sbr", (type, maker) => {
  using node = new Node({ detection: "quick" })
  plugIn(node)
  const pod = node.pod()
  const first = new Network(node, { type, ...FIRST[type]?.(node) }, maker)
  const chain = [first, new Network(node, { type: "sbr" }, maker), tuning(node, { mac: MAC }, maker)]
  let result = {}
  for (const network of chain) result = network.connect(pod, { config: { prevResult: result } })
  expect(pod.link("eth0")?.address).toBe(MAC)
  for (const network of chain.reverse()) {
    expect(network.as("ours").del(pod, { config: { prevResult: result } })).toMatchObject({ exitCode: 0, stderr: "" })
  }
  expect([pod.link("eth0"), leased(node), pod.ip("rule", "show").length]).toEqual([undefined, [], 3])
})
