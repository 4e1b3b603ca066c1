import { type Address, isLinkLocal, isLoopback, parseAddress, sameAddress } from "../../../lib/ip/address.ts"
import type { Mac } from "../../../lib/ip/mac.ts"
import { contains } from "../../../lib/ip/prefix.ts"
import type { LinkAddress } from "../../../lib/netlink/route/address.ts"
import type { Link } from "../../../lib/netlink/route/link.ts"
import type { Route } from "../../../lib/netlink/route/route.ts"
import { type Asking, type Reach, unreached } from "../../probes/interface.ts"
import type { Asked } from "../../probes/nameserver.ts"
import type { Attached } from "../../survey/attached.ts"
import type { PodView, Survey } from "../../survey/survey.ts"

/** The nameservers that a resolver uses (MAXNS). */
const MAX_NAMESERVERS = 3

/** The questions that a pod asks from inside, and with the answers what came of them. */
export interface PodPlan {
  readonly pod: Attached
  readonly interfaces: readonly InterfacePlan[]
  readonly nameservers: readonly NameserverPlan[]
}

export interface InterfacePlan {
  readonly attached: Attached
  readonly asking: Asking
  readonly gateways: readonly Reach[]
  readonly peers: readonly Peer[]
  /** False if nothing could be asked: that is no silence. */
  isAsked: boolean
}

/** Another pod of the network. */
export interface Peer {
  readonly attached: Attached
  readonly reach: Reach
}

export interface NameserverPlan {
  readonly address: Address
  /** The source that says that it is the pod's. */
  readonly source: string
  readonly names: readonly string[]
  asked: readonly Asked[]
}

export interface Wish {
  /** Pods on this node that a pod may ask, by network, in an order of their own. */
  readonly peers: ReadonlyMap<string, readonly Attached[]>
  /** True if one pod is in question: then several others are asked, and for more names. */
  readonly thorough: boolean
  /** Says if packets of the MTU are known not to get through. */
  readonly isNarrow: (attached: Attached) => boolean
}

/**
 * Plans what the pod, of which these are the attachments, asks. An address whose duplicates are still being looked for, for a second or two, neither
 * asks nor answers.
 */
export function planPod(survey: Survey, attachments: readonly Attached[], view: PodView, wish: Wish): PodPlan[] {
  const [pod] = attachments
  if (!pod || isMachine(attachments, view)) return []
  const interfaces = attachments.flatMap((attached) => planInterface(survey, attached, view, wish))
  return [{ pod, interfaces, nameservers: planNameservers(survey, attachments, view, wish) }]
}

/** Says if a virtual machine takes what comes for the pod, whose namespace then hears no answers. */
function isMachine(attachments: readonly Attached[], { links }: PodView): boolean {
  return links.some(({ name, kind }) => kind === "tun" && !attachments.some(({ ifname }) => ifname === name))
}

function planInterface(survey: Survey, attached: Attached, view: PodView, wish: Wish): InterfacePlan[] {
  const link = view.links.find(({ name }) => name === attached.ifname)
  if (!link || !canAsk(link)) return []
  const addresses = view.addresses
    .filter(({ index, tentative }) => index === link.index && !tentative)
    .map(({ prefix }) => prefix)
  const asking = { ...link, addresses }
  const own = view.routes.filter(({ hops }) => hops.some(({ index }) => index === link.index))
  const isThere = (address: Address) => !survey.addresses.some((other) => other.tentative && isOf(other, address))
  const gateways = hasNeighbours(attached) ? gatewaysIn(own, asking).filter(isThere) : []
  const whole = !wish.isNarrow(attached)
  const isAsker = wish.thorough || (wish.peers.get(attached.network)?.indexOf(attached) ?? 0) < ASKERS
  const peers = isAsker ? choosePeers(survey, attached, wish) : []
  return [
    {
      attached,
      asking,
      gateways: gateways.map((address) =>
        unreached(address, { near: isAsker, whole, mac: isAsker ? undefined : macOf(survey, link, address) }),
      ),
      peers: peers.flatMap((peer) => addressesOf(survey, peer, own, asking)),
      isAsked: false,
    },
  ]
}

function isOf({ prefix }: LinkAddress, address: Address): boolean {
  return sameAddress(prefix.address, address)
}

function gatewaysIn(routes: readonly Route[], { addresses }: Asking): Address[] {
  const all = routes.flatMap(({ hops }) => hops.flatMap(({ gateway }) => gateway ?? []))
  const isOwn = (address: Address) => addresses.some((prefix) => sameAddress(prefix.address, address))
  return all.filter((address, at) => !isOwn(address) && all.findIndex((other) => sameAddress(other, address)) === at)
}

/** Returns the hardware address of the gateway if that is the bridge of the node on which the pod's interface ends. */
function macOf(survey: Survey, { peer }: Link, gateway: Address): Mac | undefined {
  const bridge = survey.link(survey.addresses.find((address) => isOf(address, gateway))?.index ?? 0)
  return bridge?.kind === "bridge" && survey.link(peer)?.master === bridge.index ? bridge.mac : undefined
}

/** Returns the addresses that the other pod has and that are of a family of ours. */
function addressesOf(survey: Survey, peer: Attached, routes: readonly Route[], { addresses }: Asking): Peer[] {
  const present = survey.pod(peer.netns)?.addresses ?? []
  return peer.result.ips
    .map(({ address: { address } }) => address)
    .filter((address) => present.some((own) => isOf(own, address) && !own.tentative))
    .filter(({ family }) => addresses.some((prefix) => prefix.address.family === family))
    .map((address) => ({
      attached: peer,
      reach: unreached(address, { near: isNear(routes, address), whole: false, mac: undefined }),
    }))
}

/** Says if somebody can answer: nobody is behind a tap or a dummy, and an ipvlan in mode l3 asks nobody. */
function canAsk({ kind, up, carrier, ipvlanMode }: Link): boolean {
  return up && carrier && (["", "veth", "macvlan", "vlan"].includes(kind) || ipvlanMode === "l2")
}

/** Plugins whose pods resolve their gateway as everybody does; others put entries for it in place that nobody answers. */
const ORDINARY = ["bridge", "flannel", "ptp", "macvlan", "ipvlan", "vlan", "host-device"]

function hasNeighbours({ list }: Attached): boolean {
  return ORDINARY.includes(list?.plugins[0]?.type ?? "")
}

/** Says if the address is on the link itself, by the narrowest of its routes. */
function isNear(routes: readonly Route[], address: Address): boolean {
  const [narrowest] = routes
    .filter(({ dst }) => dst.address.family === address.family && contains(dst, address))
    .sort((a, b) => b.dst.length - a.dst.length)
  return narrowest?.hops.every(({ gateway }) => gateway === undefined) ?? false
}

/**
 * Pods of a network that ask everybody on their link, and another pod, if no pod is in question: a bridge copies such a question to each of its
 * ports, and the kernel has room for a thousand neighbours of all pods together. The others ask so for a gateway that does not answer an echo request.
 */
const ASKERS = 4

/** Returns the pods that come next on the network, as far as they can answer. */
function choosePeers(survey: Survey, attached: Attached, { peers, thorough }: Wish): Attached[] {
  const all = isSociable(attached) ? (peers.get(attached.network) ?? []) : []
  const at = all.indexOf(attached)
  const others = [...all.slice(at + 1), ...all.slice(0, Math.max(at, 0))]
  const chosen: Attached[] = []
  for (const other of others) {
    if (chosen.length === (thorough ? 3 : 1)) break
    if (other.containerId !== attached.containerId && isWhole(survey, other)) chosen.push(other)
  }
  return chosen
}

/** Says if the network lets its pods reach each other on the node. */
function isSociable({ list }: Attached): boolean {
  const { type, fields } = list?.plugins[0] ?? {}
  if (type === "bridge") return fields?.get("portIsolation") !== true
  if (type === "macvlan") return (fields?.get("mode") ?? "bridge") === "bridge"
  return type === "ptp" || type === "flannel" || (type === "ipvlan" && (fields?.get("mode") ?? "l2") === "l2")
}

function isWhole(survey: Survey, { netns, ifname, result }: Attached): boolean {
  const view = survey.pod(netns)
  const link = view?.links.find(({ name }) => name === ifname)
  if (!view || !link || !canAsk(link)) return false
  return result.ips.some(({ address: { address } }) => view.addresses.some((own) => isOf(own, address)))
}

function planNameservers(
  survey: Survey,
  attachments: readonly Attached[],
  { addresses }: PodView,
  { thorough }: Wish,
): NameserverPlan[] {
  const [{ netns } = { netns: "" }] = attachments
  const found = survey.resolver(netns)
  const files = found ? [{ dns: found.dns, source: found.path }] : []
  const results = attachments.map(({ network, result: { dns } }) => ({ dns, source: `result of ADD to ${network}` }))
  const sources = found ? files : results
  const usable = ({ family, value }: Address) =>
    isLoopback({ family, value }) ||
    addresses
      .filter(({ tentative }) => !tentative)
      .some(({ prefix: { address: own } }) => own.family === family && isGlobal(own))
  const plans = sources.flatMap(({ dns: { nameservers, search }, source }) =>
    nameservers.flatMap((text) => {
      const address = parseAddress(text)
      const names = namesToAsk(search, thorough)
      return address && usable(address) ? [{ address, source, names, asked: [] }] : []
    }),
  )
  const isFirst = ({ address }: NameserverPlan, at: number) =>
    plans.findIndex((other) => sameAddress(other.address, address)) === at
  return plans.filter(isFirst).slice(0, MAX_NAMESERVERS)
}

function isGlobal(address: Address): boolean {
  return !isLoopback(address) && !isLinkLocal(address)
}

/** Returns a name that a cluster's own nameserver knows if the pod is in one, and otherwise, or as well, the root. */
function namesToAsk(search: readonly string[], thorough: boolean): string[] {
  const services = search.find((domain) => /^svc(\.[a-z0-9-]{1,63}){1,4}\.?$/.test(domain))
  const cluster = services ? [`kubernetes.default.${services.replace(/\.$/, "")}`] : []
  return thorough || !services ? [...cluster, ""] : cluster
}
