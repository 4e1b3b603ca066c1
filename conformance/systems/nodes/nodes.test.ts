import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import type { View } from "../../lab/namespace.ts"
import { BASH } from "../../lab/run.ts"
import { ASK } from "../containerd/cluster-node.ts"
import type { PodSandbox } from "../containerd/sandbox.ts"
import { BRIDGE, type Cluster, connect, KIND, startCluster, startDocker } from "./cluster.ts"
import type { Docker } from "./docker.ts"
import { KindScripts } from "./kind-scripts.ts"

const PORT = { port_mappings: [{ container_port: 8080, host_port: 18080 }] }

let docker: Docker

beforeAll(async () => {
  docker = await startDocker()
})

afterAll(async () => {
  await docker?.[Symbol.asyncDispose]()
})

/** Returns the address that the asked is asked from; empty if nobody answers. */
function ask(from: View, address: string, port: number): string {
  return from.run(...BASH, ASK, address, `${port}`).stdout.replace(/:\d+\n$/, "")
}

describe.each([BRIDGE, KIND])("two nodes with $name", (network) => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster(docker, network)
  })

  afterEach(() => {
    for (const node of [cluster.first, cluster.second]) node.cri.removePods()
  })

  test("pods reach each other across nodes by their own addresses", async () => {
    const [one, two] = await Promise.all([cluster.first.cri.runPod(), cluster.second.cri.runPod()])
    const [[a = ""], [b = ""]] = [one.addresses(), two.addresses()]
    expect(one.view().pings(b)).toBe(true)
    expect(ask(one.view(), b, 8080)).toBe(a)
    expect(ask(two.view(), a, 8080)).toBe(b)
  })

  test("a host port answers on its node to the other node, to the other's pods and to its own", async () => {
    const { first, second } = cluster
    await first.cri.runPod(PORT)
    const [near, far] = await Promise.all([first.cri.runPod(), second.cri.runPod()])
    expect(ask(second.view, first.address, 18080)).toBe(second.address)
    expect(ask(far.view(), first.address, 18080)).toBe(far.addresses()[0])
    expect(ask(near.view(), first.address, 18080)).not.toBe("")
    expect(ask(first.view, first.address, 18080)).not.toBe("")
  })

  test("a node that restarts again and again has the leases of the pods that live on it", async () => {
    const { first, second } = cluster
    for (let restart = 0; restart < 2; restart++) {
      await Promise.all([first.cri.runPod(), first.cri.runPod(PORT)])
      await first.restart()
      connect(cluster)
      first.cri.removePods() // the kubelet finds them dead
      expect(first.leases(network.leases)).toEqual([])
    }
    const [one, two] = await Promise.all([first.cri.runPod(PORT), second.cri.runPod()])
    expect(first.leases(network.leases)).toEqual(one.addresses())
    expect(ask(two.view(), `${one.addresses()[0]}`, 8080)).toBe(two.addresses()[0])
  })

  test("the executables are replaced while pods start, and none of the pods fails", async () => {
    const { first } = cluster
    let starting = 8
    const pods = Array.from({ length: starting }, () => first.cri.runPod().finally(() => starting--))
    let upgrades = 0
    for (; starting > 0; upgrades++) await first.install("ours")
    const addresses = (await Promise.all(pods)).flatMap((pod) => pod.addresses())
    expect(upgrades).toBeGreaterThan(0)
    expect(first.leases(network.leases).sort()).toEqual(addresses.sort())
    first.cri.removePods()
    expect(first.leases(network.leases)).toEqual([])
  })

  test("a node goes from the Go plugins to ours and back with pods running", async () => {
    const { first, second } = cluster
    const links = () => first.view.ip("link").map((link) => link.ifname)
    const before = links()
    const far = await second.cri.runPod()
    const refuses = (address: string, port: number) =>
      second.view.run("timeout", "5", ...BASH, `: </dev/tcp/${address}/${port}`).stderr.includes("refused")
    const reaches = (pod: PodSandbox) => ask(far.view(), `${pod.addresses()[0]}`, 8080) === far.addresses()[0]

    await first.install("reference")
    const [theirs, stopped] = [await first.cri.runPod(PORT), await first.cri.runPod()]
    await first.install("ours")
    expect(ask(second.view, first.address, 18080)).toBe(second.address)
    const port = { port_mappings: [{ container_port: 8080, host_port: 18081 }] }
    const ours = await first.cri.runPod(network.sharedPorts ? port : {})
    expect([reaches(theirs), reaches(ours)]).toEqual([true, true])
    expect(new Set([theirs, stopped, ours].flatMap((pod) => pod.addresses())).size).toBe(3)
    stopped.stop()
    theirs.stop()
    expect(first.leases(network.leases)).toEqual(ours.addresses())
    expect(refuses(first.address, 18080)).toBe(true)
    await first.install("reference")
    expect(reaches(ours)).toBe(true)
    expect(network.sharedPorts && ask(second.view, first.address, 18081)).toBe(network.sharedPorts && second.address)
    first.cri.removePods()
    expect(refuses(first.address, 18081)).toBe(true)
    expect(first.leases(network.leases)).toEqual([])
    expect(links()).toEqual(before)
    await first.install("ours")
  })

  test("scripts/kind swaps the plugins of both nodes by Docker and puts them back, with pods running", async () => {
    const nodes = [cluster.first, cluster.second]
    const kind = new KindScripts(docker, nodes)
    for (const node of nodes) await node.install("reference")
    const far = await cluster.second.cri.runPod()
    const reaches = (pod: PodSandbox) => ask(far.view(), `${pod.addresses()[0]}`, 8080) === far.addresses()[0]
    const theirs = await cluster.first.cri.runPod()
    expect(kind.run("swap").stdout).toContain("runs on cni-ts")
    expect(nodes.map((node) => node.runs("ours"))).toEqual([true, true])
    const ours = await cluster.first.cri.runPod()
    expect([reaches(theirs), reaches(ours)]).toEqual([true, true])
    expect(kind.run("uninstall")).toMatchObject({ exitCode: 0 })
    expect(nodes.map((node) => node.runs("reference"))).toEqual([true, true])
    expect([reaches(theirs), reaches(ours)]).toEqual([true, true])
    for (const node of nodes) node.cri.removePods()
    expect(cluster.first.leases(network.leases)).toEqual([])
    for (const node of nodes) await node.install("ours")
  })
})
