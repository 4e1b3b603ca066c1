import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { expect, test } from "vitest"
import { Chain } from "../../lab/chain.ts"
import type { NetworkPlugin } from "../../lab/cnitool.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { BASH } from "../../lab/run.ts"
import { leases } from "../bridge/network.ts"
import { veths } from "./network.ts"

const DONE = { exitCode: 0, stderr: "" }

/** Returns a kind cluster's own network. */
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
  const portmap = { type: "portmap", capabilities: { portMappings: true } }
  return { cniVersion: "0.3.1", name: "kindnet", plugins: [ptp, portmap] as unknown as NetworkPlugin[] }
}

test("kind's default network works unchanged: ptp, host-local and portmap at 0.3.1", async () => {
  using node = new Node()
  const outside = neighbour(node)
  const list = kindnet(node)
  const pods = [node.pod(), node.pod()] as const
  const attach = (netns: Pod, portMappings: object[]) => {
    const args = `K8S_POD_INFRA_CONTAINER_ID=${netns.containerId};K8S_POD_NAME=web;IgnoreUnknown=1;K8S_POD_NAMESPACE=default`
    const chain = new Chain(node, list, { netns, args, capabilityArgs: { portMappings } })
    expect(chain.add()).toMatchObject([DONE, DONE])
    return chain
  }
  const chains = [attach(pods[0], [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]), attach(pods[1], [])]
  expect(pods.map((pod) => pod.addresses("eth0"))).toEqual([["10.244.1.2/24"], ["10.244.1.3/24"]])
  expect([pods[0].pings("10.244.1.3"), pods[0].pings("10.244.1.1"), node.pings("10.244.1.2")]).toEqual([
    true,
    true,
    true,
  ])
  const server = await serve(pods[0])
  expect(ask(outside, "10.77.0.1/8080")).toBe("hello")
  server.kill("SIGKILL")
  await once(server, "exit")
  for (const chain of chains) expect(chain.del()).toMatchObject([DONE, DONE])
  for (const chain of chains) expect(chain.del()).toMatchObject([DONE, DONE])
  expect([veths(node).map(({ ifname }) => ifname), leases(node, "kindnet")]).toEqual([["wan"], []])
})

/** Another machine, 10.77.0.2, on a network that the node has the address 10.77.0.1 in. */
function neighbour(node: Node): Pod {
  const outside = node.pod()
  node.ip("link", "add", "wan", "type", "veth", "peer", "name", "wan", "netns", outside.name)
  const ends = [
    [node, "10.77.0.1/24"],
    [outside, "10.77.0.2/24"],
  ] as const
  for (const [end, address] of ends) {
    end.ip("addr", "add", address, "dev", "wan")
    end.ip("link", "set", "wan", "up")
  }
  outside.ip("route", "add", "10.244.0.0/16", "via", "10.77.0.1")
  return outside
}

/** Says hello to whoever connects to the pod's port 80. */
async function serve(pod: Pod): Promise<ChildProcess> {
  const code = 'require("net").createServer((s) => s.end("hello")).listen(80, () => console.log("ready"))'
  const [program = "", ...argv] = pod.inside([process.execPath, "-e", code])
  const server = spawn(program, argv, { stdio: ["ignore", "pipe", "ignore"] })
  await once(server.stdout, "data")
  return server
}

function ask(from: Pod, target: string): string {
  return from.run("timeout", "5", ...BASH, `cat </dev/tcp/${target}`).stdout
}
