import { Fields } from "../../../lib/cni/fields.ts"
import { type Address, type Family, families, sameAddress } from "../../../lib/ip/address.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { readPortmapConfig } from "../../../plugins/portmap/config.ts"
import { CHAIN } from "../../../plugins/portmap/iptables/chains.ts"
import { formatHostPort, onlyAddress, type PortMapping, protocols } from "../../../plugins/portmap/port-mapping.ts"
import { grouped } from "../../grouped.ts"
import type { Attached } from "../../survey/attached.ts"
import { holderOf, type Listener } from "../../survey/listeners.ts"
import { configOf } from "../../survey/network-list.ts"
import type { Survey } from "../../survey/survey.ts"
import { describeEnd } from "../filter/describe.ts"
import { UNKNOWN } from "../filter/packet.ts"
import { type End, walk } from "../filter/walk.ts"
import type { Check, Finding, Subject } from "../finding.ts"

/** Finds host ports that do not lead to their pod, as another pod, a rule or a process has them, too. */
export const checkHostPorts: Check = function* (survey, subject): Generator<Finding> {
  const published = survey.attached.flatMap((pod) => portsOf(survey, pod).map((mapping) => ({ pod, mapping })))
  yield* takenTwice(published, subject)
  for (const { pod, mapping } of published) {
    if (subject && !subject.containerIds.has(pod.containerId)) continue
    yield* shadowed(survey, pod, mapping)
    yield* listenedTo(survey, pod, mapping)
  }
}

interface Published {
  readonly pod: Attached
  readonly mapping: PortMapping
}

function portsOf(survey: Survey, pod: Attached): readonly PortMapping[] {
  const plugin = pod.list?.plugins.find(({ type }) => type === "portmap")
  if (!plugin || survey.isGone(pod.netns)) return []
  const fields = new Fields({ ...plugin.json, runtimeConfig: pod.json.capabilities })
  return survey.attempt(() => readPortmapConfig({ ...configOf(pod.network, plugin), fields }).mappings) ?? []
}

/** Says if a packet for the one may also be for the other. */
function overlap(one: Address | undefined, other: Address | undefined): boolean {
  return one === undefined || other === undefined || sameAddress(one, other)
}

function* takenTwice(published: readonly Published[], subject: Subject): Generator<Finding> {
  for (const [, same] of grouped(published, ({ mapping }) => `${mapping.hostPort}/${mapping.protocol}`)) {
    const [first] = same
    if (!first) continue
    const meet = same.filter(({ mapping }) => overlap(onlyAddress(mapping), onlyAddress(first.mapping)))
    const containers = new Set(meet.map(({ pod }) => pod.containerId))
    if (containers.size < 2 || (subject && ![...containers].some((id) => subject.containerIds.has(id)))) continue
    yield {
      kind: "host-port-twice",
      about: formatHostPort(first.mapping),
      problem: `${containers.size} pods have this host port: packets reach one of them`,
      evidence: meet.map(({ pod }) => `${pod.path}: ${pod.pod}`),
      cause: "the portmap plugin that attached them does not refuse a port that is taken",
      mend: "give all of these pods but one another port, and restart them",
    }
  }
}

/** The priority of the chains that lead host ports to pods (NF_IP_PRI_NAT_DST). */
const OURS = -100

function* shadowed(survey: Survey, pod: Attached, mapping: PortMapping): Generator<Finding> {
  const only = onlyAddress(mapping)
  for (const family of only ? [only.family] : families) {
    const end = survey.attempt(() => foreignEnd(survey, pod, family, mapping))
    if (!end) continue
    return yield {
      kind: "host-port-shadowed",
      about: pod.pod,
      problem: `a rule of others leads host port ${formatHostPort(mapping)} elsewhere`,
      evidence: [describeEnd(end)],
      cause: "another program publishes the same port",
      mend: "remove that rule, or give the pod another port",
    }
  }
}

/** Returns the end, outside of portmap's rules, that packets for the host port certainly come to. */
function foreignEnd(survey: Survey, { containerId }: Attached, family: Family, mapping: PortMapping): End | undefined {
  const { ruleset } = survey
  const [uplink] = survey.uplinks
  const chains = ruleset?.chainsAt("prerouting", family).filter(isBefore) ?? []
  if (!ruleset || chains.length === 0) return undefined
  const own = uplink && survey.addressesOf(uplink.index).find(({ prefix }) => prefix.address.family === family)
  const packet = {
    ...UNKNOWN,
    family,
    fromInterface: uplink?.name,
    destination: onlyAddress(mapping) ?? own?.prefix.address,
    toThisHost: true,
    protocol: protocols[mapping.protocol],
    destinationPort: mapping.hostPort,
  }
  const isForeign = ({ verdict, chain }: End) => verdict === "redirects" && chain.name !== CHAIN.dnat
  for (const chain of chains) {
    const ends = walk(ruleset, chain, packet, { containerId, redirects: CHAIN.dnat })
    if (ends.length > 0 && ends.every(isForeign)) return ends[0]
  }
  return undefined
}

/** Says if packets pass the chain no later than portmap's. Of chains of one priority nobody can say which is first. */
function isBefore({ table, base }: Chain): boolean {
  return base?.type === "nat" && base.priority <= OURS && table.name !== "cni_hostport"
}

/** Programs that keep a port from others for as long as a container has it, and serve nothing there. */
const HOLDERS = ["conmon", "crio", "podman", "kubelet", "rootlessport", "nerdctl"]

function* listenedTo(survey: Survey, { pod }: Attached, mapping: PortMapping): Generator<Finding> {
  const listener = survey.listeners.find((each) => isSamePort(each, mapping))
  if (!listener) return
  const port = formatHostPort(mapping)
  const holder = survey.attempt(() => holderOf(listener))
  if (!holder) {
    survey.unseen.push(`cannot see which process listens on ${port}, a host port of ${pod}: ss -lntup shows it to root`)
    return
  }
  if (HOLDERS.includes(holder.name)) return
  yield {
    kind: "host-port-listener",
    about: pod,
    problem: `${holder.name} listens on its host port ${port} on the node, and gets none of its packets`,
    evidence: [
      `ss -ln${mapping.protocol === "tcp" ? "t" : "u"}p: port ${mapping.hostPort}, process ${holder.name}, pid ${holder.pid}`,
    ],
    cause: "packets are led to the pod before they come to processes of the node",
    mend: `have ${holder.name} listen on another port, or give the pod another one`,
  }
}

function isSamePort({ protocol, port, address }: Listener, mapping: PortMapping): boolean {
  const own = address.value === 0n ? undefined : address
  return protocol === mapping.protocol && port === mapping.hostPort && overlap(own, onlyAddress(mapping))
}
