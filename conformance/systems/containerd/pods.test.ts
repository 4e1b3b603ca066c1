import { rmSync, truncateSync } from "node:fs"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import type { View } from "../../lab/namespace.ts"
import { BASH } from "../../lab/run.ts"
import { ASK, CLIENT_ADDRESS, ClusterNode, NODE_ADDRESS, PODNET } from "./cluster-node.ts"
import { RecordedPlugins } from "./plugins.ts"

const LIMITED = { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M" }

const DNS = { nameservers: ["10.96.0.10"], search: ["cluster.local"] }
const [bridge, ...chained] = PODNET.plugins

let node: ClusterNode
let plugins: RecordedPlugins

beforeAll(async () => {
  node = await ClusterNode.start(
    { ...PODNET, plugins: [{ type: "bridge", ...bridge, dns: DNS }, ...chained] },
    (directory) => {
      plugins = new RecordedPlugins(directory)
      return plugins.directory
    },
  )
  await node.settle()
})

afterEach(() => node.containerd.removePods())

afterAll(async () => {
  await node?.[Symbol.asyncDispose]()
})

test("the kubelet learns the pod's two addresses, which are those in the pod", async () => {
  const pod = await node.containerd.runPod()
  const [ipv4, ipv6] = pod.addresses()
  expect(ipv4).toMatch(/^10\.244\.1\.\d+$/)
  expect(ipv6).toMatch(/^fd00:10:244:1::/)
  expect(pod.view().addresses("eth0")).toEqual([`${ipv4}/24`, `${ipv6}/64`])
  expect(node.network.pings(`${ipv4}`)).toBe(true)
  expect(node.network.pings(`${ipv6}`)).toBe(true)
})

test("a pod has lo up and the network's routes", async () => {
  const pod = await node.containerd.runPod()
  expect(pod.view().link("lo")?.flags).toContain("UP")
  const routes = (family: string) =>
    pod
      .view()
      .ip(family, "route", "show")
      .filter((route) => route.gateway !== undefined)
      .map(({ dst, gateway }) => `${dst} ${gateway}`)
  expect(routes("-4").sort()).toEqual(["10.96.0.0/12 10.244.1.1", "default 10.244.1.1"])
  expect(routes("-6")).toEqual(["default fd00:10:244:1::1"])
})

test("containerd learns the network's DNS, and the pod's own reaches its resolv.conf", async () => {
  const pod = await node.containerd.runPod({ dns_config: { servers: ["10.96.0.99"], searches: ["default.svc"] } })
  expect(pod.status().info.cniResult).toMatchObject({
    DNS: expect.arrayContaining([DNS]),
  })
  const resolvConf = node.containerd.machine.run([...BASH, `cat /var/lib/containerd/*/sandboxes/${pod.id}/resolv.conf`])
  expect(resolvConf.stdout).toBe("search default.svc\nnameserver 10.96.0.99\n")
})

test("the bandwidth annotations limit the pod in both directions", async () => {
  const before = node.snapshot()
  await node.containerd.runPod({ annotations: LIMITED })
  const [veth] = node.network.ip("link", "show", "type", "veth").filter((link) => link.master === "cni0")
  expect(node.limits(`${veth?.ifname}`)).toEqual({ ingress: 10_000_000, egress: 20_000_000 })
  node.containerd.removePods()
  expect(node.snapshot()).toEqual(before)
})

test("a host port answers on the node and to others, who are told apart", async () => {
  const before = node.snapshot()
  const pod = await node.containerd.runPod({ port_mappings: [{ container_port: 8080, host_port: 18080 }] })
  const answers = (from: View, address: string) => from.run(...BASH, ASK, address, "18080").stdout
  expect(answers(node.client, NODE_ADDRESS)).toMatch(`${CLIENT_ADDRESS}:`)
  expect(answers(node.network, NODE_ADDRESS)).not.toBe("")
  pod.stop()
  expect(node.client.run(...BASH, `cat </dev/tcp/${NODE_ADDRESS}/18080`).stderr).toContain("refused")
  pod.remove()
  expect(node.snapshot()).toEqual(before)
})

test("a pod in the node's own network never calls a plugin", async () => {
  plugins.forget()
  const pod = await node.containerd.runPod({ hostNetwork: true })
  expect(pod.netns()).toBeUndefined()
  pod.stop()
  pod.remove()
  expect(plugins.calls()).toEqual([])
})

test("stop and remove delete twice, the second time without a namespace, and leave nothing", async () => {
  const before = node.snapshot()
  plugins.forget()
  const pod = await node.containerd.runPod({
    annotations: LIMITED,
    port_mappings: [{ container_port: 8080, host_port: 18080 }],
  })
  expect(node.leases()).toHaveLength(2)
  const netns = pod.netns()
  pod.stop()
  expect(node.snapshot()).toEqual(before)
  pod.remove()
  expect(node.snapshot()).toEqual(before)
  const calls = (command: string) => plugins.calls().filter((call) => call.command === command)
  expect(calls("ADD").map((call) => call.plugin)).toEqual(["bridge", "portmap", "bandwidth"])
  expect(calls("DEL").map((call) => `${call.plugin} ${call.netns}`)).toEqual([
    `bandwidth ${netns}`,
    `portmap ${netns}`,
    `bridge ${netns}`,
    "bandwidth ",
    "portmap ",
    "bridge ",
  ])
})

test.each(["bridge", "portmap", "bandwidth"])("a pod whose %s fails leaves nothing", async (name) => {
  const before = node.snapshot()
  using _failure = plugins.fail(name)
  const failed = await node.containerd.tryPod({
    annotations: LIMITED,
    port_mappings: [{ container_port: 8080, host_port: 18080 }],
  })
  expect(failed.stderr).toContain("told to fail")
  expect(node.snapshot()).toEqual(before)
  expect(node.containerd.machine.processes()).toHaveLength(1)
})

test("a memory that a power cut left empty keeps containerd before 2.0 from stopping the pod, until it is removed", async () => {
  const before = node.snapshot()
  const pod = await node.containerd.runPod()
  const memory = node.containerd.machine.path(`/var/lib/cni/results/podnet-${pod.id}-eth0`)
  truncateSync(memory)
  const { exitCode, stderr } = node.containerd.crictl("stopp", pod.id)
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining("cached result")])
  rmSync(memory)
  pod.stop()
  pod.remove()
  expect(node.snapshot()).toEqual(before)
})

test("thirty pods at once get thirty addresses of each family, and give them back", async () => {
  const before = node.snapshot()
  const pods = await Promise.all(Array.from({ length: 30 }, () => node.containerd.runPod()))
  const addresses = pods.flatMap((pod) => pod.addresses())
  expect(new Set(addresses).size).toBe(60)
  expect(new Set(node.leases())).toEqual(new Set(addresses))
  const ids = pods.map((pod) => pod.id)
  expect(node.containerd.crictl("stopp", ...ids).exitCode).toBe(0)
  expect(node.containerd.crictl("rmp", ...ids).exitCode).toBe(0)
  expect(node.snapshot()).toEqual(before)
})
