import { expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { hostLocal, leases, Network } from "./network.ts"

test("an ADD gets the address it asks for, where a killed ADD left it leased to the same attachment", () => {
  using node = new Node()
  const runtimeConfig = { ips: ["10.244.1.7"] }
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node), runtimeConfig })
  const [pod, other] = [node.pod(), node.pod()]
  expect(node.call("host-local", { command: "ADD", netns: pod, config: network.config }).exitCode).toBe(0)
  expect(network.add(other).error?.code).toBe(103)
  expect(network.connect(pod).ips?.[0]?.address).toBe("10.244.1.7/24")
  expect(leases(node)).toEqual(["10.244.1.7"])
})
