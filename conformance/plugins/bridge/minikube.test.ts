import { expect, test } from "vitest"
import { Chain } from "../../lab/chain.ts"
import type { NetworkList } from "../../lab/cnitool.ts"
import { ask, Echo } from "../../lab/echo.ts"
import { Node } from "../../lab/node.ts"
import { leases } from "./network.ts"

const DONE = { exitCode: 0, stderr: "" }

/** The network of `minikube start --cni=bridge`, with a key that no plugin knows. */
function minikube(node: Node): NetworkList {
  const bridge = {
    ...{ type: "bridge", bridge: "bridge", addIf: "true", isDefaultGateway: true, forceAddress: false },
    ...{ ipMasq: true, hairpinMode: true },
    ipam: { type: "host-local", subnet: "10.244.0.0/16", dataDir: `${node.dir}/ipam` },
  }
  const plugins = [bridge, { type: "portmap", capabilities: { portMappings: true } }, { type: "firewall" }]
  return { cniVersion: "0.4.0", name: "bridge", plugins } as NetworkList
}

test("minikube's network works unchanged: bridge, host-local, portmap and firewall at 0.4.0", () => {
  using node = new Node()
  const [one, two] = [node.pod(), node.pod()]
  const attach = (netns: typeof one, portMappings: object[]) =>
    new Chain(node, minikube(node), { netns, capabilityArgs: { portMappings } })
  const chains = [attach(one, [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]), attach(two, [])]
  for (const chain of chains) expect(chain.add()).toMatchObject([DONE, DONE, DONE])
  for (const chain of chains) expect(chain.check()).toMatchObject([DONE, DONE, DONE])
  expect([one, two].map((pod) => pod.addresses("eth0"))).toEqual([["10.244.0.2/16"], ["10.244.0.3/16"]])
  expect([one.pings("10.244.0.3"), two.pings("10.244.0.1")]).toEqual([true, true])
  using _server = new Echo(one, "tcp", 80, "one")
  expect(ask(two, "10.244.0.1", 8080)).toBe("one hears 10.244.0.1")
  for (const chain of chains) expect(chain.del()).toMatchObject([DONE, DONE, DONE])
  expect([node.ip("link", "show", "type", "veth"), leases(node, "bridge")]).toEqual([[], []])
})
