import { attachmentInAlias } from "../../../lib/attachment/alias.ts"
import type { Family } from "../../../lib/ip/address.ts"
import { formatPrefix, networkOf, overlaps } from "../../../lib/ip/prefix.ts"
import { planForwarding } from "../../../lib/net/forwarding.ts"
import type { Link } from "../../../lib/netlink/route/link.ts"
import type { Attached } from "../../survey/attached.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds a node that does not forward its pods' packets, networks that overlap, and links of pods that are gone. */
export const checkNode: Check = function* (survey: Survey, subject): Generator<Finding> {
  if (subject) return
  yield* overlapping(survey)
  yield* orphans(survey)
  for (const family of [4, 6] as const) yield* notForwarding(survey, family)
}

const forwardingOf = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const

function* notForwarding(survey: Survey, family: Family): Generator<Finding> {
  const routed = survey.attached.filter((pod) => isRouted(pod, family))
  const name = forwardingOf[family]
  if (routed.length === 0 || survey.attempt(() => survey.host.readSysctl(name)) !== "0") return
  const dotted = name.replaceAll("/", ".")
  yield {
    kind: "no-forwarding",
    about: `IPv${family}`,
    problem: "the node does not forward packets: pods reach their own bridge, and nothing beyond",
    evidence: [`sysctl ${dotted}: 0`, `${routed.length} attachments have the node as their gateway`],
    cause: "something reset it since the last ADD, such as systemd-sysctl or a firewall's restart",
    mend: `sysctl -w ${dotted}=1, and keep it in /etc/sysctl.d`,
    repair: () => planForwarding(survey.host, family)?.(),
  }
}

/** Says if the node is the pod's gateway in that family. */
function isRouted({ list, result }: Attached, family: Family): boolean {
  const ofNode = list?.plugins.some(
    ({ type, fields }) =>
      type === "ptp" || (type === "bridge" && [fields.get("isGateway"), fields.get("isDefaultGateway")].includes(true)),
  )
  return ofNode === true && result.ips.some(({ gateway }) => gateway?.family === family)
}

/** Says if the link may lead to other machines: hardware, or what stands for it. */
export function isUplink({ kind, name, master }: Link): boolean {
  return name !== "lo" && master === 0 && ["", "bond", "team", "vlan"].includes(kind)
}

function* overlapping({ attached, addresses, links }: Survey): Generator<Finding> {
  const uplinks = links.filter(isUplink)
  const own = addresses.filter(({ index }) => uplinks.some((link) => link.index === index))
  const seen = new Set<string>()
  for (const { network, result } of attached) {
    for (const { address } of result.ips) {
      const other = own.find(({ prefix }) => overlaps(networkOf(prefix), networkOf(address)))
      const text = formatPrefix(networkOf(address))
      if (!other || seen.has(`${network} ${text}`)) continue
      seen.add(`${network} ${text}`)
      const link = uplinks.find(({ index }) => index === other.index)?.name
      yield {
        kind: "overlap",
        about: network,
        problem: `its pods' network ${text} overlaps the node's own`,
        evidence: [`ip -br address show ${link}: ${formatPrefix(other.prefix)}`],
        cause: "pods cannot reach what lies in that part of the node's network, and the other way round",
        mend: `give ${network} another range, and restart its pods`,
      }
    }
  }
}

function* orphans({ links, attached, cache }: Survey): Generator<Finding> {
  if (cache.unreadable.length > 0) return // theirs may be the links
  for (const { name, alias, kind } of links) {
    const attachment = attachmentInAlias(alias)
    if (!attachment) continue
    const { network, containerId, ifname } = attachment
    const isTheirs = (pod: Attached) =>
      pod.network === network && pod.containerId === containerId && pod.ifname === ifname
    if (attached.some(isTheirs)) continue
    yield {
      kind: "orphan",
      about: name,
      problem: `this ${kind} is of an attachment that no runtime here remembers`,
      evidence: [`ip link show ${name}: alias ${alias}`],
      cause: "a container was removed without a DEL, or another runtime keeps its memory elsewhere",
      mend: `cni-ts gc ${network} --yes`,
    }
  }
}
