import type { Family } from "../../../lib/ip/address.ts"
import { formatPrefix, networkOf, overlaps } from "../../../lib/ip/prefix.ts"
import { planForwarding } from "../../../lib/net/forwarding.ts"
import { isRouted } from "../../survey/attached.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds a node that does not forward its pods' packets, soon tracks no more connections, and networks that do not fit the node's. */
export const checkNode: Check = function* (survey: Survey, subject): Generator<Finding> {
  if (subject) return
  yield* overlapping(survey)
  yield* conntrack(survey)
  yield* largerThanUplink(survey)
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

function* overlapping({ attached, addresses, uplinks }: Survey): Generator<Finding> {
  const own = addresses.filter(({ index }) => uplinks.some((link) => link.index === index))
  const seen = new Set<string>()
  for (const pod of attached) {
    const { network, result } = pod
    for (const { address } of result.ips) {
      if (!isRouted(pod, address.address.family)) continue // a macvlan's network is the node's own
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

/** A table of which so much is used is nearly full. */
const NEARLY = 0.9

function* conntrack(survey: Survey): Generator<Finding> {
  const names = ["count", "max"].map((name) => `net/netfilter/nf_conntrack_${name}`)
  const [count = 0, max = 0] = names.map((name) => Number(survey.attempt(() => survey.host.readSysctl(name)) ?? 0))
  if (max === 0 || count < max * NEARLY) return
  yield {
    kind: "conntrack-full",
    about: "conntrack",
    problem: "the table of connections is nearly full: new ones are dropped when it is",
    evidence: [`sysctl net.netfilter.nf_conntrack_count: ${count}`, `sysctl net.netfilter.nf_conntrack_max: ${max}`],
    cause: "more connections than the node was made for, or a pod that opens them without end: conntrack -L",
    mend: `sysctl -w net.netfilter.nf_conntrack_max=${2 * max}, and keep it in /etc/sysctl.d`,
  }
}

function* largerThanUplink(survey: Survey): Generator<Finding> {
  const [uplink, ...others] = survey.uplinks
  if (!uplink || others.length > 0) return
  const seen = new Set<string>()
  for (const pod of survey.attached) {
    if (seen.has(pod.network) || !isRouted(pod, 4)) continue
    const mtu = survey.pod(pod.netns)?.links.find(({ name }) => name === pod.ifname)?.mtu
    if (mtu === undefined || mtu <= uplink.mtu) continue
    seen.add(pod.network)
    yield {
      kind: "uplink-mtu",
      about: pod.network,
      problem: `its pods' MTU, ${mtu}, is larger than that of the node's ${uplink.name}: large packets depend on errors that firewalls drop`,
      evidence: [`ip link show ${uplink.name}: mtu ${uplink.mtu}`, `${pod.ifname} of ${pod.pod}: mtu ${mtu}`],
      mend: `"mtu": ${uplink.mtu} in the network's plugin, and restart its pods`,
    }
  }
}
