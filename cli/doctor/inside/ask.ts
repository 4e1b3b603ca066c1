import { type Address, formatAddress, isLinkLocal } from "../../../lib/ip/address.ts"
import { introduceNeighbour } from "../../../lib/netlink/route/neighbour.ts"
import { NetworkNamespace } from "../../../lib/sys/netns.ts"
import { askFrom, type Reach } from "../../probes/interface.ts"
import { glance, hearOut, type Line } from "../../probes/line.ts"
import { askNameserver } from "../../probes/nameserver.ts"
import type { Attached } from "../../survey/attached.ts"
import type { Survey } from "../../survey/survey.ts"
import { bridgeOf } from "../checks/bridges.ts"
import type { Finding, Subject } from "../finding.ts"
import { isSilent } from "./gateways.ts"
import { type NameserverPlan, type PodPlan, planPod, type Wish } from "./plan.ts"

/** Pods whose questions are under way at once: each has some six sockets open. */
const AT_ONCE = 32
/** Milliseconds that may be waited in vain: then no more pods are asked. */
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
  let waited = 0
  const plans: PodPlan[] = []
  for (let at = 0; at < pods.length; at += AT_ONCE) {
    if (waited >= BUDGET) {
      const seconds = BUDGET / 1000
      survey.unseen.push(
        `${pods.length - at} of ${pods.length} pods asked nobody: the others waited ${seconds} s in vain`,
      )
      break
    }
    const asked = askAtOnce(survey, pods.slice(at, at + AT_ONCE), wish)
    plans.push(...asked.plans)
    waited += asked.waited
  }
  return plans
}

function askAtOnce(survey: Survey, pods: readonly Attached[][], wish: Wish): { plans: PodPlan[]; waited: number } {
  const lines: Line[] = []
  const plans = pods.flatMap((attachments) => {
    const view = survey.pod(attachments[0]?.netns ?? "")
    return (view && survey.attempt(() => planPod(survey, attachments, view, wish))) ?? []
  })
  for (const plan of plans) survey.attempt(() => introduceGateways(survey, plan))
  const eachAsks = (questionsOf: (plan: PodPlan) => Question[]) => {
    for (const plan of plans) survey.attempt(() => ask(survey, plan.pod.netns, questionsOf(plan), lines))
  }
  eachAsks(firstQuestions)
  glance(lines)
  eachAsks(secondQuestions)
  let waited = hearOut(lines.splice(0))
  eachAsks(lastQuestions)
  waited += hearOut(lines)
  const asked = plans.map((plan) => ({ ...plan, interfaces: plan.interfaces.filter(({ isAsked }) => isAsked) }))
  return { plans: asked, waited }
}

/**
 * Tells the pod's kernel where its gateways are: otherwise each pod would have its bridge ask all the others. Of a pod that the node knows it is
 * known already; a link-local address, from which a pod looks for routers, does not count.
 */
function introduceGateways(survey: Survey, { pod, interfaces }: PodPlan): void {
  const unknown = interfaces.flatMap(({ asking: { index, addresses }, gateways }) => {
    const known = addresses.filter(({ address }) => !isLinkLocal(address) && survey.isNeighbour(address))
    const isKnown = (gateway: Address) => known.some(({ address }) => address.family === gateway.family)
    return gateways.flatMap(({ address, mac }) => (mac && !isKnown(address) ? [{ index, address, mac }] : []))
  })
  const stack = unknown.length > 0 ? survey.pod(pod.netns)?.stack : undefined
  if (stack) for (const { index, address, mac } of unknown) introduceNeighbour(stack.rtnetlink, index, address, mac)
}

/** Asks from the network namespace that this process is in. */
type Question = () => readonly Line[]

function ask(survey: Survey, netns: string, questions: readonly Question[], lines: Line[]): void {
  if (questions.length === 0) return
  using namespace = new NetworkNamespace(netns)
  for (const question of questions) survey.attempt(() => lines.push(...namespace.inside(question)))
}

function firstQuestions({ interfaces, nameservers }: PodPlan): Question[] {
  return [
    ...interfaces.map((plan) => () => {
      const lines = askFrom(plan.asking, [...plan.gateways, ...plan.peers.map(({ reach }) => reach)])
      plan.isAsked = true
      return lines
    }),
    ...nameservers.map(asksNames),
  ]
}

function asksNames(plan: NameserverPlan): Question {
  return () => {
    const { line, asked } = askNameserver(plan.address, plan.names)
    plan.asked = asked
    return [line]
  }
}

/** Asks for the gateways that have not answered an echo request yet; those on the node itself have, if they do at all. */
function secondQuestions({ interfaces }: PodPlan): Question[] {
  return interfaces.flatMap(({ asking, gateways, isAsked }) => {
    const silent = gateways.filter((gateway) => isAsked && (!gateway.echoed || isSilent(gateway)))
    for (const gateway of silent) Object.assign(gateway, { near: true, small: true })
    return silent.length > 0 ? [() => askFrom(asking, silent)] : []
  })
}

/** Asks once more for what would be a finding: a packet may have been lost, as when a crowd asks at once, or come late on a busy machine. */
function lastQuestions({ interfaces, nameservers }: PodPlan): Question[] {
  const ofInterfaces = interfaces.flatMap(({ asking, gateways, peers, isAsked }) => {
    const missed = [...gateways.filter(isMissed), ...peers.map(({ reach }) => reach).filter(({ echoed }) => !echoed)]
    const again = missed.filter(({ refusal }) => isAsked && refusal === undefined)
    return again.length > 0 ? [() => askFrom(asking, again)] : []
  })
  return [...ofInterfaces, ...nameservers.filter(isUnanswered).map(asksNames)]
}

function isMissed(gateway: Reach): boolean {
  return isSilent(gateway) || (gateway.whole && gateway.echoed && !gateway.echoedWhole)
}

function isUnanswered({ asked }: NameserverPlan): boolean {
  return asked.every(({ code, refusal }) => code === undefined && refusal === undefined)
}
