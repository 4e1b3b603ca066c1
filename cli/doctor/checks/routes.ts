import { type Address, type Family, families, formatAddress, sameAddress } from "../../../lib/ip/address.ts"
import { contains, defaultPrefix, isDefault, networkOf, type Prefix } from "../../../lib/ip/prefix.ts"
import type { Link } from "../../../lib/netlink/route/link.ts"
import { addRoute, lookupRoute, type Route, RT_TABLE_MAIN } from "../../../lib/netlink/route/route.ts"
import { type Attached, isRouted } from "../../survey/attached.ts"
import type { PodView, Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds pods without their default route, nodes that send a pod's packets elsewhere, and interfaces that drop what comes another way. */
export const checkRoutes: Check = function* (survey: Survey, subject): Generator<Finding> {
  for (const pod of survey.attached) {
    if (subject && !subject.containerIds.has(pod.containerId)) continue
    const view = survey.pod(pod.netns)
    const link = view?.links.find(({ name }) => name === pod.ifname)
    if (!view || !link?.up) continue // that is said already
    for (const family of families) {
      yield* withoutDefault(survey, pod, view, family)
      yield* ledElsewhere(survey, pod, view, family)
    }
    yield* asymmetric(survey, pod, link.index)
  }
}

function addressesOf({ result }: Attached, family: Family): Prefix[] {
  return result.ips.map(({ address }) => address).filter(({ address }) => address.family === family)
}

function* withoutDefault(survey: Survey, pod: Attached, view: PodView, family: Family): Generator<Finding> {
  const { ifname, netns, result, list } = pod
  const wanted = result.routes.find(({ dst }) => dst.address.family === family && isDefault(dst))
  const moves = list?.plugins.some(({ type }) => type === "sbr" || type === "vrf") // to tables of their own
  const isThere = ({ dst, table }: Route) =>
    dst.address.family === family && isDefault(dst) && (moves || table === RT_TABLE_MAIN)
  const has = view.routes.some(isThere)
  if (!wanted || has) return
  const isOwn = ({ address }: Prefix) => view.addresses.some(({ prefix }) => sameAddress(prefix.address, address))
  if (!addressesOf(pod, family).every(isOwn)) return // with the address its routes went
  const gateway = wanted.gw ?? result.ips.find((ip) => ip.gateway?.family === family)?.gateway
  const link = view.links.find(({ name }) => name === ifname)
  const ip = `nsenter --net=${netns} ip ${family === 6 ? "-6 " : ""}route`
  yield {
    kind: "no-default-route",
    about: pod.pod,
    problem: `it has no default route for IPv${family}: it reaches its own network alone`,
    evidence: [`${ip} show default: nothing`],
    cause: "something in the pod, or in its namespace, has removed it",
    mend: gateway ? `${ip} add default via ${formatAddress(gateway)} dev ${ifname}` : "restart the pod",
    ...(gateway &&
      link && {
        repair: () => {
          const dst = defaultPrefix(family)
          const stack = survey.pod(netns)?.stack
          if (stack) addRoute(stack.rtnetlink, link.index, { dst, gateway, priority: wanted.priority })
        },
      }),
  }
}

/** The node has to send what is for the pod by the link that leads to it: otherwise no answer comes back to it. */
function* ledElsewhere(survey: Survey, pod: Attached, view: PodView, family: Family): Generator<Finding> {
  const inPod = view.links.find(({ name }) => name === pod.ifname)
  const veth = inPod && survey.link(inPod.peer)
  const isPtp = pod.list?.plugins[0]?.type === "ptp"
  const carrier = veth && (isPtp ? veth : survey.link(veth.master))
  if (!isRouted(pod, family) || !carrier?.up) return
  const onCarrier = () => survey.addresses.filter(({ index }) => leadsOver(survey, index, carrier))
  for (const { address } of addressesOf(pod, family)) {
    const route = survey.routeTo(address)
    const by = route && survey.link(route.index)
    if (!by || leadsOver(survey, by.index, carrier)) continue
    if (!isPtp && !onCarrier().some(({ prefix }) => contains(prefix, address))) continue // the bridge's address is gone
    const text = formatAddress(address)
    yield {
      kind: "route-elsewhere",
      about: pod.pod,
      problem: `the node sends what is for ${text} to ${by.name}, which does not lead to the pod`,
      evidence: [`ip route get ${text}: dev ${by.name}`],
      cause: route.local
        ? "the node has the pod's address itself"
        : "a route of the node for a part of the pods' network",
      mend: route.local
        ? `remove that address: ip address show to ${text}`
        : `remove that route: ip route show match ${text}`,
    }
  }
}

/** Says if the link is the carrier, or a VLAN on it. */
function leadsOver(survey: Survey, index: number, carrier: Link): boolean {
  return index === carrier.index || survey.link(index)?.peer === carrier.index
}

/** Addresses that no network is likely to have a route for but the default one (RFC 5737, 3849). */
const FAR = [
  { family: 4, value: 0xc6336401n },
  { family: 4, value: 0xcb007101n },
] as const

/**
 * With a strict rp_filter an interface drops what comes from where the pod would answer by another one: what comes to a second interface by a
 * gateway, or from its own network if another interface is in that, too.
 */
function* asymmetric(survey: Survey, pod: Attached, index: number): Generator<Finding> {
  const { netns, ifname } = pod
  const isSecond = survey.inSame(netns).length > 1
  if (!isSecond || addressesOf(pod, 4).length === 0) return
  const stack = survey.pod(netns)?.stack
  const strict = survey.attempt(() => stack && strictness(stack.readSysctl.bind(stack), ifname))
  if (!stack || strict !== 1) return
  for (const { from, to } of expectedFrom(pod)) {
    const route = survey.attempt(() => lookupRoute(stack.rtnetlink, from, to))
    if (!route || route.index === index) continue
    const by = survey.pod(netns)?.links.find((link) => link.index === route.index)?.name
    const get = `ip route get ${formatAddress(from)} from ${formatAddress(to)}`
    return yield {
      kind: "rp-filter",
      about: pod.pod,
      problem: `${ifname} drops what comes from ${formatAddress(from)} and its like: answers would leave by ${by}`,
      evidence: [`nsenter --net=${netns} ${get}: dev ${by}`, `sysctl net.ipv4.conf.${ifname}.rp_filter, or of all: 1`],
      cause: "the strict rp_filter, which pods have from the node, wants packets to come by the way that answers take",
      mend: `chain "sbr" behind the plugins of ${pod.network}; or nsenter --net=${netns} sysctl -w net.ipv4.conf.${ifname}.rp_filter=2`,
    }
  }
}

/** Returns the interface's rp_filter: the larger of its own and that of all. */
function strictness(read: (name: string) => string | undefined, ifname: string): number {
  return Math.max(...["all", ifname].map((name) => Number(read(`net/ipv4/conf/${name}/rp_filter`) ?? 0)))
}

/** Returns senders whose packets the network promises the interface: in its own network, and beyond if it has a default route there. */
function expectedFrom({ result }: Attached): { readonly from: Address; readonly to: Address }[] {
  const pairs: { from: Address; to: Address }[] = []
  for (const { address } of result.ips) {
    if (address.address.family !== 4) continue
    const to = address.address
    const first = networkOf(address).address.value + 1n
    const neighbour: Address = { family: 4, value: first === to.value ? first + 1n : first }
    if (address.length < 31) pairs.push({ from: neighbour, to })
    const hasDefault = result.routes.some(({ dst, gw }) => isDefault(dst) && gw && contains(address, gw))
    if (hasDefault) pairs.push(...FAR.map((from) => ({ from, to })))
  }
  return pairs
}
