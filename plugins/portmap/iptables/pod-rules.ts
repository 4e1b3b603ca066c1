import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Family } from "../../../lib/ip/address.ts"
import { hostPrefix, type Prefix } from "../../../lib/ip/prefix.ts"
import type { IptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import type { PortmapConfig } from "../config.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { onlyAddress, type Protocol, protocols } from "../port-mapping.ts"
import { CHAIN, podChain } from "./chains.ts"

/** xt_multiport takes no more in one rule. */
const MAX_PORTS = 15
/** A longer comment the Go plugin cuts to that and three dots, of which iptables, which takes 255 bytes, drops one. */
const CUT_COMMENT = 253
const MAX_COMMENT = 255

const LOCALHOST: Prefix = { address: { family: 4, value: 0x7f000001n }, length: 32 }
const EVERYBODY: Readonly<Record<Family, Prefix>> = {
  4: { address: { family: 4, value: 0n }, length: 0 },
  6: { address: { family: 6, value: 0n }, length: 0 },
}

/** Returns the rules of CNI-HOSTPORT-DNAT that lead to the container's chain: protocol by protocol, 15 ports each. */
export function entryRules(config: PortmapConfig, attachment: Attachment, family: Family): IptablesRule[] {
  const comment = commentFor(attachment)
  const action = { jump: podChain(family, attachment).name }
  return portLists(config).map(([protocol, destinationPorts]) => ({
    ...config.iptables.conditions[family],
    comment,
    protocol: protocols[protocol],
    destinationPorts,
    action,
  }))
}

function portLists({ published }: PortmapConfig): [Protocol, number[]][] {
  const byProtocol = new Map<Protocol, number[]>()
  for (const { protocol, hostPort } of published) {
    const ports = byProtocol.get(protocol)
    if (ports) ports.push(hostPort)
    else byProtocol.set(protocol, [hostPort])
  }
  const lists: [Protocol, number[]][] = []
  for (const [protocol, ports] of [...byProtocol].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (let at = 0; at < ports.length; at += MAX_PORTS) lists.push([protocol, ports.slice(at, at + MAX_PORTS)])
  }
  return lists
}

function commentFor({ network, containerId }: Attachment): string {
  const comment = `dnat name: "${network}" id: "${containerId}"`
  return comment.length > MAX_COMMENT ? `${comment.slice(0, CUT_COMMENT)}..` : comment
}

/** Returns the container's id in the comment of an entry rule, undefined if it was cut. */
export function containerIn(comment: string | undefined): string | undefined {
  return /^dnat name: ".*" id: "([^"]*)"$/.exec(comment ?? "")?.[1]
}

/** Yields the rules of the container's chain: of each mapping those that mark, then the one that gives a new destination; none twice. */
export function* chainRules(config: PortmapConfig, pod: PodMappings): Generator<IptablesRule> {
  const jump = { jump: config.iptables.markChain ?? CHAIN.setMark }
  const marked = new Set<string>()
  const led = new Set<string>()
  for (const mapping of pod.mappings) {
    const { hostPort: destinationPort, containerPort: port } = mapping
    const only = onlyAddress(mapping)
    const base = {
      protocol: protocols[mapping.protocol],
      destinationPort,
      ...(only && { destination: hostPrefix(only) }),
    }
    const key = `${base.protocol} ${destinationPort} ${only?.value}`
    if (!marked.has(key)) for (const source of markedSources(pod)) yield { ...base, source, action: jump }
    marked.add(key)
    if (!led.has(`${key} ${port}`)) yield { ...base, action: { dnat: { address: pod.address, port } } }
    led.add(`${key} ${port}`)
  }
}

/** Returns the senders that would get no answer otherwise: the pod's neighbours, and the node's own programs. */
function markedSources({ family, network, masquerade }: PodMappings): Prefix[] {
  if (masquerade === "none") return []
  if (masquerade === "all") return [EVERYBODY[family]]
  return family === 4 ? [network, LOCALHOST] : [network]
}
