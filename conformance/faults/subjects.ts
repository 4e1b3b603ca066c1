import { join } from "node:path"
import type { Node } from "../lab/node.ts"
import { plugInDevice } from "../plugins/host-device/network.ts"
import { OUTSIDE, ofLan, plugIn } from "../plugins/macvlan/network.ts"
import { ALL_OF_INTERFACE } from "../plugins/tuning/network.ts"

export interface PluginConfig {
  readonly type: string
  readonly [key: string]: unknown
}

/** A network whose calls are disturbed in every way the matrices know. To put a plugin to the test, add a line to `subjects`. */
export interface Subject {
  readonly name: string
  /** The plugins that a runtime calls for one attachment, in the order of ADD. */
  readonly plugins: (node: Node) => readonly PluginConfig[]
  /** The runtime's arguments for the disturbed pod, such as port maps. */
  readonly runtimeConfig?: object
  /** The first plugin of a chain to be disturbed, 0 unless given: those before have a line of their own. */
  readonly first?: number
  /** If another pod is attached beforehand, and must not notice anything. Otherwise everything is the network's first. */
  readonly beside?: true
  /** An ADD that was killed may be refused until DEL: as by the Go plugin, an IPAM plugin gives an attachment its address once. */
  readonly repeats?: false
  /** If all that ADD makes is in the pod, with which it goes: GC has nothing to do but to free the lease. */
  readonly livesInPod?: true
  /** If ADD gives the pod a device of the node's, which only DEL can take back from a pod that lives. */
  readonly givesDevice?: true
  /** An address that the pod can ping once ADD succeeded. */
  readonly reaches?: string
  /** More of the environment of its calls. */
  readonly env?: Readonly<Record<string, string>>
  /** Makes what the node has besides. */
  readonly before?: (node: Node) => void
}

/** The bridge of every subject that has one. */
export const BRIDGE = "cni0"

export const V4 = "10.244.0.0/23"
const V6 = "fd00:10:244:1::/64"

/** Without a file or a lock, whose faults other subjects show. */
export const STATIC = { type: "static", addresses: [{ address: "10.1.2.3/24" }] }

function hostLocal(node: Node, ...subnets: string[]): PluginConfig {
  return { type: "host-local", dataDir: join(node.dir, "ipam"), ranges: subnets.map((subnet) => [{ subnet }]) }
}

/** A bridge that is the pods' gateway; dual stack unless subnets are given. */
export function bridged(node: Node, ...subnets: string[]): PluginConfig {
  const ipam = hostLocal(node, ...(subnets.length > 0 ? subnets : [V4, V6]))
  return { type: "bridge", bridge: BRIDGE, isDefaultGateway: true, mtu: 1450, hairpinMode: true, ipam }
}

export const subjects: readonly Subject[] = [
  { name: "bridge, the node's first pod", plugins: (node) => [bridged(node, V4)], reaches: "10.244.0.1" },
  {
    name: "host-local, the network's first lease",
    plugins: (node) => [{ type: "x", ipam: hostLocal(node, V4) }],
    repeats: false,
  },
  {
    name: "host-local, dual stack beside another pod",
    plugins: (node) => [{ type: "x", ipam: hostLocal(node, V4, V6) }],
    beside: true,
    repeats: false,
  },
  {
    name: "bridge, dual stack with ipMasq and macspoofchk, beside another pod",
    plugins: (node) => [{ ...bridged(node), ipMasq: true, macspoofchk: true }],
    beside: true,
    reaches: "10.244.0.1",
  },
  {
    name: "ptp, dual stack with ipMasq by iptables, beside another pod",
    plugins: (node) => [{ type: "ptp", ipMasq: true, ipMasqBackend: "iptables", ipam: hostLocal(node, V4, V6) }],
    beside: true,
    reaches: "10.244.0.1",
  },
  {
    name: "macvlan",
    before: plugIn,
    plugins: (node) => [{ type: "macvlan", master: "uplink", ipam: ofLan(node) }],
    reaches: OUTSIDE,
    livesInPod: true,
  },
  {
    name: "host-device",
    before: plugInDevice,
    plugins: (node) => [{ type: "host-device", device: "uplink", ipam: ofLan(node) }],
    reaches: OUTSIDE,
    repeats: false,
    givesDevice: true,
  },
  {
    name: "tap",
    plugins: () => [{ type: "tap", owner: 1000, mac: "02:00:00:00:00:7c", ipam: STATIC }],
    livesInPod: true,
  },
  {
    name: "portmap after bridge, beside another pod",
    first: 1,
    plugins: (node) => [bridged(node), { type: "portmap", capabilities: { portMappings: true } }],
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
    beside: true,
    reaches: "10.244.0.1",
  },
  {
    name: "portmap by iptables after bridge, beside another pod",
    first: 1,
    plugins: (node) => [bridged(node), { type: "portmap", backend: "iptables", capabilities: { portMappings: true } }],
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
    beside: true,
    reaches: "10.244.0.1",
  },
  {
    name: "bandwidth after bridge and portmap, beside another pod",
    first: 2,
    plugins: (node) => [
      bridged(node),
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "bandwidth", capabilities: { bandwidth: true } },
    ],
    runtimeConfig: {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
      bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 },
    },
    beside: true,
    reaches: "10.244.0.1",
  },
  {
    name: "firewall by iptables after bridge, with an ingress policy, beside another pod",
    first: 1,
    plugins: (node) => [bridged(node), { type: "firewall", backend: "iptables", ingressPolicy: "same-bridge" }],
    beside: true,
    reaches: "10.244.0.1",
  },
  {
    name: "sbr after bridge",
    first: 1,
    plugins: (node) => [bridged(node, V4), { type: "sbr" }],
  },
  {
    name: "tuning after bridge",
    first: 1,
    plugins: (node) => [bridged(node, V4), { type: "tuning", dataDir: join(node.dir, "tuning"), ...ALL_OF_INTERFACE }],
    reaches: "10.244.0.1",
  },
  {
    name: "static",
    plugins: () => [{ type: "x", ipam: STATIC }],
  },
  { name: "loopback", plugins: () => [{ type: "loopback" }], reaches: "127.0.0.1" },
]

/** The executable that serves a config: IPAM plugins get the config of the plugin that delegates to them. */
export function executableOf({ type, ipam }: PluginConfig): string {
  return type === "x" ? (ipam as PluginConfig).type : type
}
