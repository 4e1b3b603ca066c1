import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { ask } from "../../lab/echo.ts"
import type { View } from "../../lab/namespace.ts"
import { blocksOf } from "../../lab/page.ts"
import { output } from "../../lab/run.ts"
import { limitsOf } from "../../systems/containerd/cluster-node.ts"
import { ELSEWHERE, HERE, THERE } from "../place.ts"
import { Cluster } from "./cluster.ts"
import type { Answer } from "./control-plane.ts"
import { eventually, podSpec } from "./kubelet.ts"
import { program } from "./programs.ts"

/** What a cluster's network is, and multus before it. */
const PODNET = {
  cniVersion: "1.1.0",
  name: "podnet",
  plugins: [
    {
      ...{ type: "bridge", bridge: "cni0", isDefaultGateway: true, hairpinMode: true, ipMasq: true },
      ipam: { type: "host-local", ranges: [[{ subnet: "10.244.1.0/24" }]] },
    },
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "bandwidth", capabilities: { bandwidth: true } },
  ],
}
const MULTUS = {
  type: "multus",
  binDir: "/opt/cni/bin",
  kubeconfig: "/root/.kube/config",
  capabilities: { portMappings: true, bandwidth: true },
  delegates: [PODNET],
}

/** The kind of object that describes a network; multus comes with this definition of it. */
const KIND = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "network-attachment-definitions.k8s.cni.cncf.io" },
  spec: {
    group: "k8s.cni.cncf.io",
    scope: "Namespaced",
    names: {
      plural: "network-attachment-definitions",
      singular: "network-attachment-definition",
      kind: "NetworkAttachmentDefinition",
    },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: { type: "object", properties: { config: { type: "string" } } } },
          },
        },
      },
    ],
  },
}

const LIMITED = { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M" }

let cluster: Cluster
let before: object

beforeAll(async () => {
  cluster = await Cluster.start(
    { cniVersion: "1.1.0", name: "multus", plugins: [MULTUS] },
    ({ machine, node, neighbour }) => {
      output(["cp", program("multus"), machine.path("/opt/cni/bin/")])
      // The interface that the page names.
      node.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth2", "netns", neighbour.name)
      for (const [view, link] of [[node, "eth0"] as const, [neighbour, "eth2"] as const])
        view.ip("link", "set", link, "up")
      neighbour.ip("addr", "add", "192.168.1.1/24", "dev", "eth2")
    },
  )
  cluster.apply(KIND)
  await cluster.type("kubectl wait --for=condition=Established crd/network-attachment-definitions.k8s.cni.cncf.io")
  describeNetwork("lan", {
    ...{ cniVersion: "1.0.0", type: "macvlan", master: ELSEWHERE.link },
    ...{ capabilities: { ips: true, mac: true }, ipam: { type: "static" } },
  })
  const bridge = {
    type: "bridge",
    bridge: "br9",
    ipam: { type: "host-local", ranges: [[{ subnet: "10.249.0.0/24" }]] },
  }
  describeNetwork("rack", { cniVersion: "1.0.0", name: "rack", plugins: [bridge] })
  runPod("settle", [{ name: "rack" }], { ports: [{ containerPort: 80, hostPort: 1 }] }, LIMITED)
  await cluster.readyPod("settle")
  await removePods()
  before = cluster.kubelet.state()
})

afterEach(async () => {
  await removePods()
  await eventually(() => expect(cluster.kubelet.state()).toEqual(before))
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

function describeNetwork(name: string, config: object): void {
  const [apiVersion, kind] = ["k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"]
  cluster.apply({ apiVersion, kind, metadata: { name }, spec: { config: JSON.stringify(config) } })
}

/** Has a pod made that asks for further networks. */
function runPod(name: string, networks: readonly object[], container: object = {}, annotations: object = {}): void {
  const asked = { ...annotations, "k8s.v1.cni.cncf.io/networks": JSON.stringify(networks) }
  cluster.apply({ apiVersion: "v1", kind: "Pod", metadata: { name, annotations: asked }, spec: podSpec(container) })
}

function removePods(): Promise<string> {
  return cluster.type("kubectl delete pods --all --now")
}

function viewOf(name: string): View {
  return cluster.kubelet.view(cluster.kubelet.sandbox(name))
}

test("the page's network and pod, twice: each has eth0 and net1, and one reaches the other by net1", async () => {
  const [network = "", pod = ""] = blocksOf("docs/multus.md", "A second network with Multus", "yaml")
  cluster.apply(network)
  for (const name of ["multi-net-pod", "another"]) cluster.apply(pod.replace("multi-net-pod", name))
  for (const name of ["multi-net-pod", "another"]) await cluster.readyPod(name)
  const addresses = ["multi-net-pod", "another"].flatMap((name) => viewOf(name).addresses("net1"))
  expect(addresses.sort()).toEqual(["192.168.1.200/24", "192.168.1.201/24"])
  const pings = await cluster.type(
    "kubectl exec another -- ping -c 1 -I net1 192.168.1.200 && kubectl exec multi-net-pod -- ping -c 1 -I net1 192.168.1.201",
  )
  expect(pings.match(/ 0% packet loss/g)).toHaveLength(2)
})

test("an address, a MAC address and a name that the annotation asks for; a host port and limits of the first network", async () => {
  const mac = "92:d0:c6:0a:29:33"
  const networks = [
    { name: "lan", ips: ["203.0.113.50/24"], mac },
    { name: "rack", interface: "extra" },
  ]
  runPod("one", networks, { ports: [{ containerPort: 80, hostPort: 18800 }] }, LIMITED)
  const { metadata, status } = await cluster.readyPod("one")
  const pod = viewOf("one")
  expect(status.podIPs).toEqual([{ ip: expect.stringMatching(/^10\.244\.1\./) }])
  expect([pod.addresses("net1"), pod.link("net1")]).toMatchObject([
    ["203.0.113.50/24"],
    { address: mac, linkinfo: { info_kind: "macvlan" } },
  ])
  expect(pod.addresses("extra")).toEqual([expect.stringMatching(/^10\.249\.0\.\d+\/24$/)])
  expect([pod.pings("10.244.1.1"), pod.pings(ELSEWHERE.neighbour)]).toEqual([true, true])
  const { node, neighbour } = cluster.kubelet.place
  expect(ask(neighbour, HERE.ipv4, 18800)?.trim()).toBe(THERE.ipv4)
  const veth = node.ip("link", "show").find(({ ifindex }) => ifindex === pod.link("eth0")?.link_index)
  expect(limitsOf(node, `${veth?.ifname}`)).toEqual({ ingress: 10_000_000, egress: 20_000_000 })
  const told: Answer[] = JSON.parse(metadata.annotations["k8s.v1.cni.cncf.io/network-status"])
  expect(told.map(({ name, interface: link, ips, mac: address }) => [name, link, ips, address])).toMatchObject([
    ["podnet", "eth0", status.podIPs.map(({ ip }: { ip: string }) => ip), pod.link("eth0")?.address],
    ["default/lan", "net1", ["203.0.113.50"], mac],
    [
      "default/rack",
      "extra",
      pod.addresses("extra").map((cidr) => cidr.replace(/\/.*/, "")),
      pod.link("extra")?.address,
    ],
  ])
})
