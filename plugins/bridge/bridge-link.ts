import { isLinkLocal, sameAddress } from "../../lib/ip/address.ts"
import { localMac, type Mac } from "../../lib/ip/mac.ts"
import { formatPrefix, overlaps, type Prefix, samePrefix } from "../../lib/ip/prefix.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { admitIPv6, IPV6_LEAST_MTU, refuseAdvertisements } from "../../lib/net/ipv6.ts"
import { type NetworkStack, readSysctl, trySysctl } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { findUplink, listUplinks } from "../../lib/net/uplink.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { addAddress, listAddresses, removeAddress } from "../../lib/netlink/route/address.ts"
import {
  changeLink,
  createBridge,
  type Link,
  type LinkChange,
  listLinks,
  readLink,
  removeLink,
} from "../../lib/netlink/route/link.ts"
import { randomBytes } from "../../lib/sys/digest.ts"

/** The bridge a network wants. What is 0 or false is left as it is on a bridge that exists. */
export interface BridgeWish {
  readonly name: string
  readonly mtu: number
  readonly promiscuous: boolean
  readonly vlanFiltering: boolean
}

/**
 * The bridge, up; made as wished if it is missing. One that exists has its other settings until adaptBridge.
 * Others may be making it at the same moment. Throws Conflict when the name belongs to something else.
 */
export function ensureBridge(host: NetworkStack, wish: BridgeWish, undo: Undo): Link {
  const { rtnetlink } = host
  const existing = readBridge(rtnetlink, wish.name)
  const mtu = existing ? 0 : wish.mtu || uplinkMtu(rtnetlink)
  const created = !existing && tryCreate(rtnetlink, wish, provisional(mtu), undo)
  const link = existing ?? readBridge(rtnetlink, wish.name)
  if (!link) throw new Conflict(`bridge ${wish.name} vanished while it was being set up`, "try again")
  if (created) {
    // While the bridge's link-local address is tentative, the kernel asks nobody's neighbour for the pods that others send packets to.
    trySysctl(`net/ipv6/conf/${link.name}/accept_dad`, "0")
    refuseAdvertisements(link.name)
    const change = mtu > 0 ? { up: true, mtu } : { up: true }
    changeLink(rtnetlink, link.index, link.name, change)
    return { ...link, ...change }
  }
  listenToNoPod(rtnetlink, link, undo)
  if (!link.up) {
    undo.add(() => unlessUsed(rtnetlink, link, () => changeLink(rtnetlink, link.index, link.name, { up: false })))
  }
  const change = { ...(link.up ? {} : { up: true }), ...(mayTakePortMac(link) ? { mac: ownMac(link) } : {}) }
  if (Object.keys(change).length > 0) changeLink(rtnetlink, link.index, link.name, change)
  return { ...link, ...change }
}

/**
 * Returns a MAC address for a port of the bridge that does not become the bridge's: unless it was fixed, by setting it, the bridge has the
 * lowest of its ports'.
 */
export function portMac({ mac: [first = 0] }: Link): Mac {
  const mac = randomBytes(6)
  mac[0] = HIGHEST
  if (first >= HIGHEST) mac[1] = 0xff
  return mac
}

/** The first byte of the highest locally administered addresses. */
const HIGHEST = 0xfe

/**
 * Says if the bridge could take the MAC address of a port of ours, and has to be given the one it has for good: it has no port that is up, or
 * none lower than ours. It is not done without need, since the kernel then forgets the bridge's neighbours.
 */
function mayTakePortMac({ operstate, mac: [first = 0, second = 0] }: Link): boolean {
  return operstate !== "up" || (first >= HIGHEST && second === 0xff)
}

/** A bridge that has lost its last port has none: zeros. */
function ownMac({ mac }: Link): Mac {
  return mac.some((byte) => byte !== 0) ? mac : localMac(randomBytes(6))
}

/**
 * Gives an existing bridge the settings wished for that it lacks. This is not undone: as soon as it is done other pods may rely on it,
 * so it belongs after everything that may fail.
 */
export function adaptBridge({ rtnetlink }: NetworkStack, link: Link, wish: BridgeWish): void {
  const change: LinkChange = {
    ...(wish.promiscuous && !link.promiscuous ? { promiscuous: true } : {}),
    ...(wish.mtu > 0 && wish.mtu !== link.mtu ? { mtu: wish.mtu } : {}),
    ...(wish.vlanFiltering && !link.vlanFiltering ? { vlanFiltering: true } : {}),
  }
  if (Object.keys(change).length > 0) changeLink(rtnetlink, link.index, link.name, change)
}

/** Lets a bridge that exists take no router advertisements from pods, unless it is the node's own way out. */
function listenToNoPod(rtnetlink: Conversation, bridge: Link, undo: Undo): void {
  const setting = `net/ipv6/conf/${bridge.name}/accept_ra`
  const value = readSysctl(setting) ?? "0"
  if (value === "0" || listUplinks(rtnetlink, [6]).has(bridge.index)) return
  undo.add(() => unlessUsed(rtnetlink, bridge, () => trySysctl(setting, value)))
  refuseAdvertisements(bridge.name)
}

/** The bridge of that name, or undefined. Throws Conflict when the name belongs to something else. */
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
 * What a bridge is born with: one less than it is to have. The kernel keeps an MTU only if it is changed, and another ADD that reads the
 * bridge before that must not take 1500 for its pod. One less than IPv6's least, though, and the bridge would be born without IPv6.
 */
function provisional(mtu: number): number {
  const LEAST = 68 // ETH_MIN_MTU
  if (mtu === IPV6_LEAST_MTU) return mtu + 1
  return mtu > LEAST ? mtu - 1 : 0
}

function tryCreate(rtnetlink: Conversation, { name, vlanFiltering }: BridgeWish, mtu: number, undo: Undo): boolean {
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

/** Undoes what a failed ADD did to a bridge, unless somebody else uses the bridge by now. */
function unlessUsed(rtnetlink: Conversation, bridge: Link, step: () => void): void {
  const { links, partial } = listLinks(rtnetlink, { master: bridge.index })
  if (links.length === 0 && !partial) step()
}

/** The MTU of the interface the node's default route leaves by, or 0 if it has none. */
function uplinkMtu(rtnetlink: Conversation): number {
  const index = findUplink(rtnetlink)
  return index === undefined ? 0 : (readLink(rtnetlink, index)?.mtu ?? 0)
}

/** What has to happen to a link's addresses before it is the gateway. */
export interface GatewayPlan {
  readonly link: Link
  readonly remove: readonly Prefix[]
  readonly add: readonly Prefix[]
}

/**
 * What it takes for the bridge (or the interface that stands for it in a VLAN) to have the gateways' addresses. Any other IPv4 address,
 * or an IPv6 address of an overlapping network that is not link-local, is in the way: it will be removed with `force`, else Conflict is thrown.
 */
export function planGatewayAddresses(
  { rtnetlink }: NetworkStack,
  link: Link,
  gateways: readonly Prefix[],
  force: boolean,
): GatewayPlan {
  const present = listAddresses(rtnetlink, link.index).map(({ prefix }) => prefix)
  const add = gateways.filter((gateway) => !present.some((prefix) => samePrefix(prefix, gateway)))
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
 * Carries the plan out: the addresses are usable at once, and the link's MAC is fixed, which may otherwise follow its ports. IPv6 comes
 * first: where the node has it switched off, nothing has been changed yet.
 */
export function putGatewayAddresses(host: NetworkStack, { link, remove, add }: GatewayPlan): void {
  const { rtnetlink } = host
  if (add.some(({ address }) => address.family === 6)) admitIPv6(host, link)
  for (const family of [6, 4]) {
    const ofFamily = ({ address }: Prefix) => address.family === family
    for (const prefix of remove.filter(ofFamily)) removeAddress(rtnetlink, link.index, link.name, prefix)
    for (const gateway of add.filter(ofFamily)) addGateway(rtnetlink, link, gateway)
  }
  const mac = add.length > 0 && readLink(rtnetlink, link.index)?.mac
  if (mac) changeLink(rtnetlink, link.index, link.name, { mac })
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
