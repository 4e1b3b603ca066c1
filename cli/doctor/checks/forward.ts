import { type Address, type Family, families } from "../../../lib/ip/address.ts"
import { legacyTables } from "../../../lib/netlink/netfilter/xtables/legacy.ts"
import { grouped } from "../../grouped.ts"
import { type Attached, isRouted } from "../../survey/attached.ts"
import type { Survey } from "../../survey/survey.ts"
import { commandFor, describeEnd, isOfIptables } from "../filter/describe.ts"
import { type Packet, UNKNOWN } from "../filter/packet.ts"
import { type End, walk } from "../filter/walk.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds rules of the node's packet filter, whoever made them, that certainly drop what pods send or are sent. */
export const checkForward: Check = function* (survey, subject): Generator<Finding> {
  for (const family of families) {
    const pods = survey.attached.filter((pod) => isRouted(pod, family) && !survey.isGone(pod.netns))
    if (pods.length === 0) continue
    noteLegacy(survey, family)
    for (const [network, own] of grouped(pods, (pod) => pod.network)) {
      const asked = own.filter(({ containerId }) => !subject || subject.containerIds.has(containerId))
      if (asked.length > 0) yield* checkNetwork(survey, family, network, asked, own)
    }
  }
}

function noteLegacy(survey: Survey, family: Family): void {
  const tables = survey.attempt(() => legacyTables(family)) ?? []
  if (tables.length === 0) return
  const command = family === 4 ? "iptables-legacy-save" : "ip6tables-legacy-save"
  survey.unseen.push(`rules of iptables-legacy (tables ${tables.join(", ")}) cannot be seen: ${command} shows them`)
}

/** A kind of packets of a pod, and what it means if they are dropped. */
interface Traffic {
  readonly kind: "forward-drops" | "bridge-filter"
  readonly problem: string
  readonly packet: Packet
}

/** Yields what is dropped of all pods of the network alike. One pod alone may be cut off on purpose. */
function* checkNetwork(
  survey: Survey,
  family: Family,
  network: string,
  asked: readonly Attached[],
  own: readonly Attached[],
): Generator<Finding> {
  let drops: readonly Drop[] | undefined
  for (const pod of asked) {
    const isCandidate = ({ problem }: Traffic) => !drops || drops.some(({ traffic }) => traffic.problem === problem)
    const dropped = trafficOf(survey, family, pod, own)
      .filter(isCandidate)
      .flatMap((traffic) => {
        const end = dropOf(survey, pod, traffic.packet)
        return end ? [{ traffic, end }] : []
      })
    drops =
      drops?.filter(({ traffic }) => dropped.some((other) => other.traffic.problem === traffic.problem)) ?? dropped
    if (drops.length === 0) return // as on a healthy node, after its first pod
  }
  const said = new Set<string>()
  for (const { traffic, end } of drops ?? []) {
    if (said.has(traffic.kind)) continue // without what pods send there are no answers
    said.add(traffic.kind)
    yield finding(network, traffic, end)
  }
}

/** A kind of packets, and where they are dropped. */
interface Drop {
  readonly traffic: Traffic
  readonly end: End
}

function finding(network: string, { kind, problem, packet }: Traffic, end: End): Finding {
  const from = packet.source && packet.fromInterface
  const to = packet.bridged || !packet.source ? packet.toInterface : undefined
  const words = (input: string, output: string) =>
    [...(from ? [input, from] : []), ...(to ? [output, to] : [])].join(" ")
  const { name, table } = end.chain
  const byIptables = `${commandFor(end.chain)} -I ${name} ${words("-i", "-o")} -j ACCEPT`
  const byNft = `nft insert rule ${table.family} ${table.name} ${name} ${words("iifname", "oifname")} accept`
  const more = packet.bridged
    ? "sysctl -w net.bridge.bridge-nf-call-iptables=0"
    : 'chain "firewall" behind the plugins of the network'
  return {
    kind,
    about: network,
    problem,
    evidence: [describeEnd(end)],
    cause: "a firewall, or Docker, drops what it does not know",
    mend: `${more}; or ${isOfIptables(end.chain) ? byIptables : byNft}`,
  }
}

function trafficOf(survey: Survey, family: Family, pod: Attached, own: readonly Attached[]): Traffic[] {
  const address = addressOf(pod, family)
  const carrier = address && survey.routeTo(address)
  if (!address || !carrier || carrier.local) return []
  const inside = survey.link(carrier.index)?.name
  const outside = survey.uplinks.length === 1 ? survey.uplinks[0]?.name : undefined
  const sent = { ...UNKNOWN, family, fromInterface: inside, toInterface: outside, source: address }
  const got = { ...UNKNOWN, family, fromInterface: outside, toInterface: inside, destination: address }
  const all: Traffic[] = [
    { kind: "forward-drops", problem: `what its pods send beyond the node by IPv${family} is dropped`, packet: sent },
    {
      kind: "forward-drops",
      problem: `answers to its pods by IPv${family} are dropped`,
      packet: { ...got, state: "established" },
    },
  ]
  const neighbour = own.find(({ containerId }) => containerId !== pod.containerId)
  const other = neighbour && addressOf(neighbour, family)
  if (other && isFiltered(survey, family) && survey.link(carrier.index)?.kind === "bridge" && !isIsolated(pod))
    all.push({
      kind: "bridge-filter",
      problem: `what its pods on this node send one another by IPv${family} is dropped: net.bridge.bridge-nf-call-iptables is 1`,
      packet: { ...sent, toInterface: inside, destination: other, bridged: true },
    })
  return all
}

function addressOf({ result }: Attached, family: Family): Address | undefined {
  return result.ips.map(({ address }) => address.address).find((address) => address.family === family)
}

/** Says if packets that stay on a bridge pass the filter for IP, too. */
function isFiltered(survey: Survey, family: Family): boolean {
  const name = `net/bridge/bridge-nf-call-${family === 4 ? "iptables" : "ip6tables"}`
  return survey.attempt(() => survey.host.readSysctl(name)) === "1"
}

/** Says if the network keeps its pods apart: then nothing is wrong if they are. */
function isIsolated({ list }: Attached): boolean {
  return (
    list?.plugins.some(({ fields }) => fields.get("ingressPolicy") === "isolated" || fields.get("portIsolation")) ===
    true
  )
}

/** Returns where the packet is dropped, if that is certain: whatever else it is, no rule lets it through. */
function dropOf(survey: Survey, { containerId }: Attached, packet: Packet): End | undefined {
  const { ruleset } = survey
  for (const chain of ruleset?.chainsAt("forward", packet.family) ?? []) {
    const ends = survey.attempt(() => ruleset && walk(ruleset, chain, packet, { containerId })) ?? []
    if (ends.length > 0 && ends.every(({ verdict }) => verdict === "drop")) return ends[0]
  }
  return undefined
}
