import type { Described } from "../../lab/namespace.ts"
import type { Observed } from "./observed.ts"

/** An attachment to a network, as observed. */
export interface Attached {
  readonly node: Observed
  readonly pod: Observed
}

interface Context {
  /** The container in the veth's alias. */
  readonly containerId: string
  readonly enabledad: boolean
  readonly mtu: number | undefined
}

interface Difference {
  readonly what: string
  readonly why: string
  /** Returns what the reference would have left, had it done as we do. */
  readonly apply: (attached: Attached, context: Context) => Attached
}

/**
 * Everything in which an attachment of ours is meant to differ from the reference's, as the machine's tools show it. Two more are not
 * visible there: the veth's name is computed, not random, and MTU 0 differs only on a node
 * with a default route: see port.test.ts.
 */
const DIFFERENCES: readonly Difference[] = [
  {
    what: "the host's veth has an alias",
    why: "it says whose it is, and marks the attachment as finished: what a killed ADD left can be told apart",
    apply: onVeth((veth, { containerId }) => ({ ...veth, ifalias: `cni-ts net ${containerId} eth0` })),
  },
  {
    what: "the host's veth has the kernel's transmit queue length",
    why: "the reference sets none, by accident; a queue that is put on the veth later takes its limit from it",
    apply: onVeth((veth) => ({ ...veth, txqlen: 1000 })),
  },
  {
    what: "a bridge keeps the MTU that it was made with",
    why: "the reference's goes back to 1500 with its last port, and the next pod without an mtu of its own would take that",
    apply: (attached, { mtu }) => {
      if (mtu === undefined) return attached
      const { node, pod } = onSysctls("node", { "ipv6/conf/cni0/mtu": `${mtu}` })(attached)
      const kept = (link: Described) => (link.ifname === "cni0" ? { ...link, mtu } : link)
      return { pod, node: { ...node, links: node.links.map(kept), addresses: node.addresses.map(kept) } }
    },
  },
  {
    what: "a bridge without ports keeps its MAC",
    why: "ours has its own from the start; the reference's takes its ports', and zeros without any, unless it is a gateway",
    apply: ({ node, pod }) => ({
      pod,
      node: { ...node, links: node.links.map(withMac), addresses: node.addresses.map(withMac) },
    }),
  },
  {
    what: "the host's veth has no IPv6 address of its own",
    why: "a bridge port needs none, and what the kernel does for one more of a node with hundreds grows with them",
    apply: (attached, context) =>
      onSysctls("node", { "ipv6/conf/VETH/addr_gen_mode": "1" })(
        onVeth((veth) => ({ ...veth, inet6_addr_gen_mode: "none" }))(attached, context),
      ),
  },
  {
    what: "IPv6 addresses are made without duplicate address detection",
    why: "they can be used as soon as ADD returns; the reference's on the bridge cannot",
    apply: ({ node, pod }, { enabledad }) => ({
      node: withoutDetection(node),
      pod: enabledad ? pod : withoutDetection(pod),
    }),
  },
  {
    what: "a bridge's own link-local address is made without it too",
    why: "the kernel looks for no pod on behalf of others before the bridge has one, so the first pod is out of reach",
    apply: onSysctls("node", { "ipv6/conf/cni0/accept_dad": "0" }),
  },
  {
    what: "a pod without IPv6 addresses keeps the kernel's settings of IPv6",
    why: "a sysctl that is set in every pod makes all of the node slower",
    apply: (attached) =>
      hasIPv6(attached.pod) ? attached : onSysctls("pod", { "ipv6/conf/eth0/accept_dad": "1" })(attached),
  },
  {
    what: "a pod's IPv6 addresses are announced",
    why: "neighbours forget at once who had the address before, as they do with IPv4",
    apply: (attached) =>
      hasIPv6(attached.pod) ? onSysctls("pod", { "ipv6/conf/eth0/ndisc_notify": "1" })(attached) : attached,
  },
]

/** Returns what is to be expected of ours if the reference left `attached`. */
export function asOurs(attached: Attached, context: Context): Attached {
  return DIFFERENCES.reduce((state, { apply }) => apply(state, context), attached)
}

function onVeth(change: (veth: Described, context: Context) => Described): Difference["apply"] {
  return ({ node, pod }, context) => {
    const changed = (link: Described) => (link.ifname === "VETH" ? change(link, context) : link)
    const { txqlen } = change({}, context)
    const inList = (link: Described) => (link.ifname === "VETH" && txqlen ? { ...link, txqlen } : link)
    return { pod, node: { ...node, links: node.links.map(changed), addresses: node.addresses.map(inList) } }
  }
}

function withMac(link: Described): Described {
  return link.ifname === "cni0" ? { ...link, address: "MAC" } : link
}

function onSysctls(where: keyof Attached, values: Readonly<Record<string, string>>): (attached: Attached) => Attached {
  return (attached) => {
    const sysctls = attached[where].sysctls.map((line) => {
      const [name = ""] = line.split(":")
      return values[name] === undefined ? line : `${name}:${values[name]}`
    })
    return { ...attached, [where]: { ...attached[where], sysctls } }
  }
}

function withoutDetection(observed: Observed): Observed {
  const marked = (link: Described) => ({
    ...link,
    addr_info: (link.addr_info ?? []).map((address) =>
      address.family === "inet6" && link.ifname !== "lo" ? { ...address, nodad: true } : address,
    ),
  })
  return { ...observed, addresses: observed.addresses.map(marked) }
}

function hasIPv6({ addresses }: Observed): boolean {
  const eth0 = addresses.find(({ ifname }) => ifname === "eth0")
  return eth0?.addr_info?.some(({ family }) => family === "inet6") ?? false
}
