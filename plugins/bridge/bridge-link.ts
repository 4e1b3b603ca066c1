import { isLinkLocal, sameAddress } from "../../lib/ip/address.ts"
import { localMac, type Mac } from "../../lib/ip/mac.ts"
import { formatPrefix, onlyFamily, overlaps, type Prefix, samePrefix } from "../../lib/ip/prefix.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { admitIPv6, IPV6_LEAST_MTU, refuseAdvertisements } from "../../lib/net/ipv6.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { findUplink, listUplinks } from "../../lib/net/uplink.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { addAddress, listAddresses, removeAddress } from "../../lib/netlink/route/address.ts"
import {
  changeLink,
  type Link,
  type LinkChange,
  listLinks,
  readLink,
  removeLink,
} from "../../lib/netlink/route/link.ts"
import { createBridge } from "../../lib/netlink/route/new-link.ts"
import { randomBytes } from "../../lib/sys/digest.ts"

/** The bridge that a network wants. 0 and false leave a bridge that exists as it is. */
export interface WantedBridge {
  readonly name: string
  readonly mtu: number
  readonly promiscuous: boolean
  readonly vlanFiltering: boolean
}

/** The bridge, or its interface in a VLAN, as an ADD uses it. */
export interface UsedLink extends Link {
  /** True if its MAC address was set by this ADD, and so does not follow its ports'. */
  readonly keepsMac?: boolean
}

/**
 * Returns the bridge, up, and makes it as wanted if it is missing. One that exists keeps its settings until adaptBridge(). Another ADD may
 * make it at the same moment. Throws Conflict if another link has the name.
 */
export function ensureBridge(host: NetworkStack, wanted: WantedBridge, undo: Undo): UsedLink {
  const existing = readBridge(host.rtnetlink, wanted.name)
  return existing ? useBridge(host, existing, undo) : makeBridge(host, wanted, undo)
}

function makeBridge(host: NetworkStack, wanted: WantedBridge, undo: Undo): UsedLink {
  const { rtnetlink } = host
  const mtu = wanted.mtu || uplinkMtu(rtnetlink)
  const created = tryCreate(rtnetlink, wanted, initialMtu(mtu), undo)
  const link = readBridge(rtnetlink, wanted.name)
  if (!link) throw new Conflict(`bridge ${wanted.name} vanished while it was being set up`, "try again")
  if (!created) return useBridge(host, link, undo)
  // Until the bridge's link-local address leaves DAD, the kernel sends no neighbour solicitations from it, so forwarded IPv6 packets are dropped.
  host.trySysctl(`net/ipv6/conf/${link.name}/accept_dad`, "0")
  refuseAdvertisements(host, link.name)
  const change = mtu > 0 ? { up: true, mtu } : { up: true }
  changeLink(rtnetlink, link.index, link.name, change)
  return { ...link, ...change, keepsMac: true }
}

function useBridge(host: NetworkStack, link: Link, undo: Undo): UsedLink {
  const { rtnetlink } = host
  ignorePodAdvertisements(host, link, undo)
  if (link.up && !mayTakePortMac(link)) return link
  if (!link.up) {
    undo.add(() => unlessUsed(rtnetlink, link, () => changeLink(rtnetlink, link.index, link.name, { up: false })))
  }
  const change: LinkChange = {
    ...(link.up ? {} : { up: true }),
    ...(mayTakePortMac(link) ? { mac: ownMac(link) } : {}),
  }
  changeLink(rtnetlink, link.index, link.name, change)
  return { ...link, ...change, keepsMac: change.mac !== undefined }
}

/** The first byte of the highest locally administered MAC addresses. */
const HIGHEST_LOCAL = 0xfe

/**
 * Returns a MAC address for a port that the bridge does not take as its own: unless its address is set, a bridge has the lowest of its
 * ports'.
 */
export function portMac({ mac: [first = 0] }: Link): Mac {
  const mac = randomBytes(6)
  mac[0] = HIGHEST_LOCAL
  if (first >= HIGHEST_LOCAL) mac[1] = 0xff
  return mac
}

/**
 * Returns true if the bridge could take the MAC address of a port of ours, so that its own has to be set: it has no port that is up, or
 * none with a lower address. Otherwise it is not set: the kernel forgets the bridge's neighbours when it is.
 */
function mayTakePortMac({ operstate, mac: [first = 0, second = 0] }: Link): boolean {
  return operstate !== "up" || (first >= HIGHEST_LOCAL && second === 0xff)
}

/** Returns the bridge's MAC address, or a new one: a bridge that has lost its last port has zeros. */
function ownMac({ mac }: Link): Mac {
  return mac.some((byte) => byte !== 0) ? mac : localMac(randomBytes(6))
}

/**
 * Gives the bridge the wanted settings that it lacks. This is not undone, because other pods may rely on it at once, so it comes after
 * everything that may fail.
 */
export function adaptBridge({ rtnetlink }: NetworkStack, link: Link, wanted: WantedBridge): void {
  const change: LinkChange = {
    ...(wanted.promiscuous && !link.promiscuous ? { promiscuous: true } : {}),
    ...(wanted.mtu > 0 && wanted.mtu !== link.mtu ? { mtu: wanted.mtu } : {}),
    ...(wanted.vlanFiltering && !link.vlanFiltering ? { vlanFiltering: true } : {}),
  }
  if (Object.keys(change).length > 0) changeLink(rtnetlink, link.index, link.name, change)
}

/** Makes a bridge that exists ignore router advertisements from pods, unless it is the node's uplink. */
function ignorePodAdvertisements(host: NetworkStack, bridge: Link, undo: Undo): void {
  const { rtnetlink } = host
  const { index, name, acceptRa = 0 } = bridge
  if (acceptRa === 0 || listUplinks(rtnetlink, [6]).has(index)) return
  const restore = () => host.trySysctl(`net/ipv6/conf/${name}/accept_ra`, String(acceptRa))
  undo.add(() => unlessUsed(rtnetlink, bridge, restore))
  refuseAdvertisements(host, name)
}

/** Returns the bridge of that name, or undefined. Throws Conflict if another link has the name. */
export function readBridge(rtnetlink: Conversation, name: string): Link | undefined {
  const link = readLink(rtnetlink, name)
  if (link && link.kind !== "bridge") {
    throw new Conflict(
      `${JSON.stringify(name)} already exists but is not a bridge`,
      `it is a ${link.kind || "hardware"} interface; name another "bridge" in the config, or remove it`,
    )
  }
  return link
}

/**
 * Returns the MTU to create a bridge with: one less than wanted. The kernel has a bridge follow its ports' MTUs until its own is changed
 * to another value, so it cannot be made with the wanted one. A concurrent ADD may read the bridge before that change, and would give its
 * pod the kernel's 1500. IPv6's least MTU is approached from above: below it a bridge has no IPv6.
 */
function initialMtu(mtu: number): number {
  const LEAST = 68 // ETH_MIN_MTU
  if (mtu === IPV6_LEAST_MTU) return mtu + 1
  return mtu > LEAST ? mtu - 1 : 0
}

function tryCreate(rtnetlink: Conversation, { name, vlanFiltering }: WantedBridge, mtu: number, undo: Undo): boolean {
  try {
    undo.attempt(
      () => createBridge(rtnetlink, { name, mac: localMac(randomBytes(6)), mtu, vlanFiltering }),
      () => removeUnusedBridge(rtnetlink, name),
    )
    return true
  } catch (error) {
    if (refusedWith(error, "EEXIST")) return false
    throw error
  }
}

function removeUnusedBridge(rtnetlink: Conversation, name: string): void {
  const link = readLink(rtnetlink, name)
  if (link) unlessUsed(rtnetlink, link, () => removeLink(rtnetlink, link.index))
}

/** Undoes a step of a failed ADD, unless the bridge has ports by now. */
function unlessUsed(rtnetlink: Conversation, bridge: Link, step: () => void): void {
  const { links, partial } = listLinks(rtnetlink, { master: bridge.index })
  if (links.length === 0 && !partial) step()
}

/** Returns the MTU of the node's uplink, or 0 if there is none. */
function uplinkMtu(rtnetlink: Conversation): number {
  const index = findUplink(rtnetlink)
  return index === undefined ? 0 : (readLink(rtnetlink, index)?.mtu ?? 0)
}

/** The changes that make a link the pods' gateway. */
export interface GatewayPlan {
  readonly link: UsedLink
  readonly remove: readonly Prefix[]
  readonly add: readonly Prefix[]
}

/**
 * Plans to give the bridge, or its interface in a VLAN, the gateways' addresses. Any other IPv4 address is in the way, and any IPv6 address
 * of an overlapping network that is not link-local: with `force` it will be removed, else Conflict is thrown.
 */
export function planGatewayAddresses(
  { rtnetlink }: NetworkStack,
  link: UsedLink,
  gateways: readonly Prefix[],
  force: boolean,
): GatewayPlan {
  const present = listAddresses(rtnetlink, link.index, onlyFamily(gateways)).map(({ prefix }) => prefix)
  const add = gateways.filter((gateway) => !present.some((prefix) => samePrefix(prefix, gateway)))
  if (add.length === 0) return { link, add, remove: [] } // then nothing is in the way, either
  for (const gateway of force ? [] : add) {
    const rival = gateways.find((other) => inTheWay(other, gateway))
    if (rival) throw rivals(link.name, gateway, rival)
    const conflict = present.find((other) => inTheWay(other, gateway))
    if (conflict) throw occupied(link.name, gateway, conflict)
  }
  const isWanted = (prefix: Prefix) => gateways.some((gateway) => samePrefix(prefix, gateway))
  const isRemoved = (prefix: Prefix) => !isWanted(prefix) && add.some((gateway) => inTheWay(prefix, gateway))
  return { link, add, remove: present.filter(isRemoved) }
}

/**
 * Carries out the plan. The addresses are usable at once, and the link's MAC address, which may follow its ports', is set for good. IPv6
 * comes first: if the node has it switched off, nothing has changed yet.
 */
export function putGatewayAddresses(host: NetworkStack, { link, remove, add }: GatewayPlan): void {
  if (add.length === 0) return
  const { rtnetlink } = host
  if (add.some(({ address }) => address.family === 6)) admitIPv6(host, link)
  for (const family of [6, 4]) {
    const ofFamily = ({ address }: Prefix) => address.family === family
    for (const prefix of remove.filter(ofFamily)) removeAddress(rtnetlink, link.index, link.name, prefix)
    for (const gateway of add.filter(ofFamily)) addGateway(rtnetlink, link, gateway)
  }
  if (!link.keepsMac) changeLink(rtnetlink, link.index, link.name, { mac: link.mac })
}

function addGateway(rtnetlink: Conversation, link: Link, gateway: Prefix): void {
  const skipDetection = gateway.address.family === 6
  try {
    addAddress(rtnetlink, { index: link.index, link: link.name, prefix: gateway, skipDetection })
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error // another ADD was faster
  }
}

function inTheWay(present: Prefix, gateway: Prefix): boolean {
  if (present.address.family !== gateway.address.family || samePrefix(present, gateway)) return false
  if (gateway.address.family === 4 || sameAddress(present.address, gateway.address)) return true
  return overlaps(present, gateway) && !isLinkLocal(present.address) // every link has one of the kernel's
}

function rivals(name: string, one: Prefix, other: Prefix): Conflict {
  return new Conflict(
    `${JSON.stringify(name)} cannot have both ${formatPrefix(one)} and ${formatPrefix(other)}`,
    'the configuration gives each pod an address behind either gateway: name one, or set "forceAddress": true to have both on the bridge',
  )
}

function occupied(name: string, gateway: Prefix, present: Prefix): Conflict {
  return new Conflict(
    `${JSON.stringify(name)} already has an IP address different from ${formatPrefix(gateway)}`,
    `it has ${formatPrefix(present)}; remove that address, or set "forceAddress": true to have it replaced`,
  )
}
