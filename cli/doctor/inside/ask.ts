import { formatAddress } from "../../../lib/ip/address.ts"
import { host } from "../../../lib/sys/host.ts"
import { askFrom } from "../../probes/interface.ts"
import { hearOut, type Line } from "../../probes/line.ts"
import { askNameserver } from "../../probes/nameserver.ts"
import type { Attached } from "../../survey/attached.ts"
import type { PodView, Survey } from "../../survey/survey.ts"
import { bridgeOf } from "../checks/bridges.ts"
import type { Finding, Subject } from "../finding.ts"
import { type PodPlan, planPod, type Wish } from "./plan.ts"

/** Pods whose questions are under way at once: each has some six sockets open. */
const AT_ONCE = 32
/** Milliseconds after which no more pods are asked, if the ones before were silent. */
const BUDGET = 5000

/** Findings that say why a pod, or those of a bridge, get no answers: these are not asked. */
const EXPLAINING = [
  "no-namespace",
  "no-interface",
  "interface-down",
  "no-address",
  "address-twice",
  "no-bridge",
  "bridge-down",
  "no-gateway-address",
  "left-bridge",
  "veth-down",
]

/**
 * Has the pods ask, each from its own network namespace, their gateways, each other, and their nameservers. The packets, and what neighbours
 * and connection tracking remember of them for a while, are all that is left of it.
 */
export function askInside(survey: Survey, subject: Subject, known: readonly Finding[]): PodPlan[] {
  const explained = aboutsOf(known, EXPLAINING)
  const narrow = aboutsOf(known, ["mtu"])
  const isExplained = (attached: Attached) =>
    explained.size > 0 && namesOf(survey, attached).some((name) => explained.has(name))
  const living = survey.attached.filter(({ netns }) => netns !== "" && !survey.isGone(netns))
  const wish = {
    peers: groupBy(
      living.filter((attached) => !isExplained(attached)),
      ({ network }) => network,
    ),
    thorough: subject !== undefined,
    isNarrow: ({ pod }: Attached) => narrow.has(pod),
  }
  const pods = [...groupBy(living, ({ containerId, netns }) => `${containerId} ${netns}`).values()].filter(
    (attachments) =>
      attachments.every(({ containerId }) => !subject || subject.containerIds.has(containerId)) &&
      !attachments.some(isExplained),
  )
  return askInTurn(survey, pods, wish)
}

function aboutsOf(findings: readonly Finding[], kinds: readonly string[]): ReadonlySet<string> {
  return new Set(findings.filter(({ kind }) => kinds.includes(kind)).map(({ about }) => about))
}

/** Returns what a finding may be about that explains the attachment's silence. */
function namesOf(survey: Survey, attached: Attached): string[] {
  const bridge = survey.attempt(() => bridgeOf(attached))?.bridge
  const addresses = attached.result.ips.map(({ address }) => formatAddress(address.address))
  return [attached.pod, ...addresses, ...(bridge === undefined ? [] : [bridge])]
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  return groups
}

function askInTurn(survey: Survey, pods: readonly Attached[][], wish: Wish): PodPlan[] {
  const began = host.uptime()
  const plans: PodPlan[] = []
  for (let at = 0; at < pods.length; at += AT_ONCE) {
    if (host.uptime() - began > BUDGET) {
      const seconds = BUDGET / 1000
      survey.unseen.push(
        `${pods.length - at} of ${pods.length} pods asked nobody: the others waited ${seconds} s in vain`,
      )
      break
    }
    plans.push(...askAtOnce(survey, pods.slice(at, at + AT_ONCE), wish))
  }
  return plans
}

function askAtOnce(survey: Survey, pods: readonly Attached[][], wish: Wish): PodPlan[] {
  const lines: Line[] = []
  const plans = pods.flatMap((attachments) => {
    const view = survey.pod(attachments[0]?.netns ?? "")
    return (view && survey.attempt(() => planPod(survey, attachments, view, wish))) ?? []
  })
  try {
    for (const plan of plans) for (const ask of questionsOf(plan)) survey.attempt(() => ask(plan.view, lines))
  } finally {
    hearOut(lines)
  }
  return plans.map((plan) => ({ ...plan, interfaces: plan.interfaces.filter(({ isAsked }) => isAsked) }))
}

function questionsOf({ interfaces, nameservers }: PodPlan): ((view: PodView, lines: Line[]) => void)[] {
  return [
    ...interfaces.map((plan) => ({ stack }: PodView, lines: Line[]) => {
      const { asking, gateways, peers } = plan
      const reaches = [...gateways, ...peers.map(({ reach }) => reach)]
      lines.push(...stack.inside(() => askFrom(asking, reaches)))
      plan.isAsked = true
    }),
    ...nameservers.map((plan) => ({ stack }: PodView, lines: Line[]) => {
      const { line, asked } = stack.inside(() => askNameserver(plan.address, plan.names))
      lines.push(line)
      plan.asked = asked
    }),
  ]
}
