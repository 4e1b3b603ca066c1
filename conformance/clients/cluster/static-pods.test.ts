import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import type { NetworkList } from "../../lab/cnitool.ts"
import { ask, type Transport } from "../../lab/echo.ts"
import type { View } from "../../lab/namespace.ts"
import { output } from "../../lab/run.ts"
import { type Limits, limitsOf } from "../../systems/containerd/cluster-node.ts"
import { HERE, THERE } from "../place.ts"
import { Cluster } from "./cluster.ts"
import { eventually, KubeletNode, podSpec } from "./kubelet.ts"

const GATEWAY = { ipv4: "10.244.1.1", ipv6: "fd00:10:244:1::1" }

/** The network of a node in a cluster with both families. */
const PODNET: NetworkList = {
  cniVersion: "1.1.0",
  name: "podnet",
  plugins: [
    {
      type: "bridge",
      bridge: "cni0",
      isDefaultGateway: true,
      hairpinMode: true,
      ipMasq: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]] },
    },
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "bandwidth", capabilities: { bandwidth: true } },
  ],
}

const LIMITED = { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M" }
const LIMITS: Limits = { ingress: 10_000_000, egress: 20_000_000 }

let kubelet: KubeletNode
let cluster: Cluster | undefined

const STARTS = {
  "a kubelet alone": async () => {
    kubelet = await KubeletNode.start(PODNET)
  },
  "a kubelet in a cluster": async () => {
    cluster = await Cluster.start(PODNET)
    kubelet = cluster.kubelet
  },
}

/** A pod's specification with those ports of its own by those of the node. */
function published(ports: Readonly<Record<number, number>>): object {
  const list = Object.entries(ports).map(([hostPort, containerPort]) => ({ hostPort: Number(hostPort), containerPort }))
  return podSpec({ ports: list })
}

/** Has the neighbour ask a port of the node, and returns from whom the pod hears it; undefined without an answer. */
function fromOutside(port: number, transport: Transport = "tcp", address = HERE.ipv4): string | undefined {
  return ask(kubelet.place.neighbour, address, port, { transport, timeoutSeconds: 3 })?.trim()
}

function limits(pod: View): Limits {
  const { node } = kubelet.place
  const { link_index: index } = pod.link("eth0") ?? {}
  const veth = node.ip("link", "show").find(({ ifindex }) => ifindex === index)
  return limitsOf(node, `${veth?.ifname}`)
}

/** Returns the network of a static pod that runs. */
function view(name: string): View {
  return kubelet.view(kubelet.sandbox(`${name}-node1`))
}

describe.each(Object.entries(STARTS))("%s", (_, start) => {
  let before: object

  beforeAll(async () => {
    await start()
    kubelet.writePod("settle", podSpec({ ports: [{ containerPort: 80, hostPort: 1 }] }), LIMITED)
    await kubelet.ready("settle")
    kubelet.removePods()
    await eventually(() => expect(kubelet.state()).toMatchObject({ files: [] }))
    before = kubelet.state()
  })

  afterEach(async () => {
    kubelet.removePods()
    await eventually(() => expect(kubelet.state()).toEqual(before))
  })

  afterAll(() => (cluster ?? kubelet)?.[Symbol.asyncDispose]())

  test("host ports by TCP and UDP, of both families and of one address; limits from annotations; probes", async () => {
    const ports = [
      { containerPort: 80, hostPort: 18080 },
      { containerPort: 81, hostPort: 18081, protocol: "UDP" },
      { containerPort: 81, hostPort: 18082, hostIP: "127.0.0.1" },
    ]
    const livenessProbe = { tcpSocket: { port: 80 }, periodSeconds: 1 }
    const readinessProbe = { exec: { command: ["/bin/sh", "-c", "ping -c1 10.244.1.1"] }, periodSeconds: 1 }
    kubelet.writePod("web", podSpec({ ports, livenessProbe, readinessProbe }), LIMITED)
    const { podIPs } = await kubelet.ready("web")
    const pod = view("web")
    expect(podIPs?.map(({ ip }) => ip)).toEqual(pod.addresses("eth0").map((address) => address.replace(/\/.*/, "")))
    expect(podIPs).toHaveLength(2)
    if (cluster) expect((await cluster.readyPod("web-node1")).status.podIPs).toEqual(podIPs)
    expect([pod.pings(GATEWAY.ipv4), pod.pings(GATEWAY.ipv6)]).toEqual([true, true])
    expect([fromOutside(18080), fromOutside(18080, "tcp", HERE.ipv6)]).toEqual([THERE.ipv4, THERE.ipv6])
    expect([fromOutside(18081, "udp"), fromOutside(18082)]).toEqual([THERE.ipv4, undefined])
    const { node } = kubelet.place
    expect([ask(node, "127.0.0.1", 18080), ask(node, "127.0.0.1", 18082)]).toEqual(Array(2).fill(`${GATEWAY.ipv4}\n`))
    expect(ask(pod, HERE.ipv4, 18080)).toBeDefined()
    expect(limits(pod)).toEqual(LIMITS)
  })

  test("the containers of a pod share its network, and it has the DNS configuration that it asks for", async () => {
    const dnsConfig = { nameservers: [THERE.ipv4], searches: ["x.test"], options: [{ name: "ndots", value: "2" }] }
    const { containers: one } = podSpec({}) as { containers: object[] }
    const { containers: two } = podSpec({ name: "second", command: ["/bin/answer", "90"] }) as { containers: object[] }
    kubelet.writePod("dns", podSpec({}, { dnsPolicy: "None", dnsConfig, containers: [...one, ...two] }))
    await kubelet.ready("dns")
    const sandbox = kubelet.sandbox("dns-node1")
    const root = `/proc/${kubelet.containerPid(sandbox, "second")}/root`
    const resolver = output(["cat", kubelet.place.machine.path(`${root}/etc/resolv.conf`)])
    expect(resolver.trim().split("\n").sort()).toEqual([`nameserver ${THERE.ipv4}`, "options ndots:2", "search x.test"])
    expect([ask(view("dns"), "127.0.0.1", 80), ask(view("dns"), "127.0.0.1", 90)]).toEqual([
      "127.0.0.1\n",
      "127.0.0.1\n",
    ])
  })

  test("a pod with the node's network", async () => {
    const command = ["/bin/answer", "28080"]
    kubelet.writePod("host", podSpec({ command }, { hostNetwork: true }))
    await kubelet.ready("host")
    expect(fromOutside(28080)).toBe(THERE.ipv4)
  })

  test("a killed container is made anew in the same network", async () => {
    kubelet.writePod("fragile", published({ 18083: 80 }), LIMITED)
    const { podIPs } = await kubelet.ready("fragile")
    const sandbox = kubelet.sandbox("fragile-node1")
    kubelet.kill(kubelet.containerPid(sandbox, "answer"))
    await eventually(() => expect(kubelet.status("fragile")?.containerStatuses?.[0]?.restartCount).toBe(1))
    expect(await kubelet.ready("fragile")).toMatchObject({ podIPs })
    expect(kubelet.sandbox("fragile-node1")).toBe(sandbox)
    await eventually(() => expect(fromOutside(18083)).toBe(THERE.ipv4))
  })

  test("a killed sandbox: the pod gets another network, with its port and its limits, and the former leaves nothing", async () => {
    kubelet.writePod("mortal", published({ 18084: 80 }), LIMITED)
    await kubelet.ready("mortal")
    const sandbox = kubelet.sandbox("mortal-node1")
    kubelet.kill(kubelet.sandboxPid(sandbox))
    await eventually(() => expect(kubelet.sandbox("mortal-node1")).not.toBe(sandbox))
    await kubelet.ready("mortal")
    await eventually(() => expect(fromOutside(18084)).toBe(THERE.ipv4))
    expect(fromOutside(18084, "tcp", HERE.ipv6)).toBe(THERE.ipv6)
    expect(limits(view("mortal"))).toEqual(LIMITS)
    const { files } = kubelet.state() as { files: string[] }
    expect(files.filter((file) => file.includes("/networks/"))).toHaveLength(2)
  })

  test("another host port in the manifest: the new one answers, the former does not", async () => {
    kubelet.writePod("moving", published({ 18085: 80 }))
    await kubelet.ready("moving")
    expect(fromOutside(18085)).toBe(THERE.ipv4)
    kubelet.writePod("moving", published({ 18086: 80 }))
    await eventually(() => expect(fromOutside(18086)).toBe(THERE.ipv4))
    expect(fromOutside(18085)).toBeUndefined()
  })

  test("the kubelet is killed and started again: its pods live on", async () => {
    kubelet.writePod("steady", published({ 18087: 80 }), LIMITED)
    const { podIPs } = await kubelet.ready("steady")
    const sandbox = kubelet.sandbox("steady-node1")
    await kubelet.killKubelet()
    await kubelet.startKubelet()
    expect(await kubelet.ready("steady")).toMatchObject({ podIPs })
    expect(kubelet.sandbox("steady-node1")).toBe(sandbox)
    expect([fromOutside(18087), limits(view("steady"))]).toEqual([THERE.ipv4, LIMITS])
  })
})
