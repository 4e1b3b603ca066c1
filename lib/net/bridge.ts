import { localMac } from "../ip/mac.ts"
import { formatPrefix, isDefault, overlaps, type Prefix, samePrefix } from "../ip/prefix.ts"
import type { Conversation } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { addAddress, listAddresses, removeAddress } from "../netlink/route/address.ts"
import {
  changeLink,
  createBridge,
  type Link,
  type LinkChange,
  listLinks,
  readLink,
  removeLink,
} from "../netlink/route/link.ts"
import { listRoutes, RT_TABLE_MAIN } from "../netlink/route/route.ts"
import { randomBytes } from "../sys/digest.ts"
import { Conflict } from "./conflict.ts"
import { type NetworkStack, trySysctl } from "./stack.ts"

/** The bridge a network wants. What is 0 or false is left as it is on a bridge that exists. */
export interface BridgeWish {
  readonly name: string
  readonly mtu: number
  readonly promiscuous: boolean
  readonly vlanFiltering: boolean
}

export interface EnsuredBridge {
  readonly link: Link
  /** It did not exist before. */
  readonly created: boolean
}

/**
 * The bridge, up and as wished, made if it is missing. Others may be making it at the same moment.
 * Throws Conflict when the name belongs to something else.
 */
export function ensureBridge(host: NetworkStack, wish: BridgeWish): EnsuredBridge {
  const { kernel } = host
  const existing = readBridge(kernel, wish.name)
  const created = !existing && tryCreate(kernel, wish)
  const link = existing ?? readBridge(kernel, wish.name)
  if (!link) throw new Conflict(`bridge ${wish.name} vanished while it was being set up`, "try again")
  trySysctl(`net/ipv6/conf/${wish.name}/accept_ra`, "0")
  const change = missing(link, wish)
  if (Object.keys(change).length > 0) changeLink(kernel, link.index, link.name, change)
  return { link: { ...link, mtu: change.mtu ?? link.mtu }, created }
}

/** The bridge of that name, or undefined. Throws Conflict when the name belongs to something else. */
export function readBridge(kernel: Conversation, name: string): Link | undefined {
  const link = readLink(kernel, name)
  if (link && link.kind !== "bridge") {
    throw new Conflict(
      `${JSON.stringify(name)} already exists but is not a bridge`,
      `it is a ${link.kind || "hardware"} interface; name another "bridge" in the config, or remove it`,
    )
  }
  return link
}

function tryCreate(kernel: Conversation, { name, mtu, vlanFiltering }: BridgeWish): boolean {
  try {
    const mac = localMac(randomBytes(6))
    createBridge(kernel, { name, mac, mtu: mtu || uplinkMtu(kernel), vlanFiltering })
    return true
  } catch (error) {
    if (refusedWith(error, "EEXIST")) return false
    throw error
  }
}

function missing(link: Link, wish: BridgeWish): LinkChange {
  return {
    ...(link.up ? {} : { up: true }),
    ...(wish.promiscuous && !link.promiscuous ? { promiscuous: true } : {}),
    ...(wish.mtu > 0 && wish.mtu !== link.mtu ? { mtu: wish.mtu } : {}),
    ...(wish.vlanFiltering && !link.vlanFiltering ? { vlanFiltering: true } : {}),
  }
}

/** The MTU of the interface the node's default route leaves by, or 0 if it has none. */
function uplinkMtu(kernel: Conversation): number {
  const defaults = ([4, 6] as const).flatMap((family) =>
    listRoutes(kernel, family, RT_TABLE_MAIN)
      .filter(({ dst }) => isDefault(dst))
      .sort((a, b) => a.priority - b.priority),
  )
  const index = defaults[0]?.hops[0]?.index
  return index === undefined ? 0 : (readLink(kernel, index)?.mtu ?? 0)
}

/** Takes back a bridge that a failed ADD made, unless somebody uses it by now. */
export function removeUnusedBridge(kernel: Conversation, index: number): void {
  if (listLinks(kernel, { master: index }).length === 0) removeLink(kernel, index)
}

/**
 * Puts the gateways' addresses on the bridge (or on the interface that stands for it in a VLAN), usable at once, and fixes the
 * bridge's MAC, which would otherwise follow its ports. Any other IPv4 address, or an IPv6 address of an overlapping network,
 * is in the way: it is removed with `force`, else Conflict is thrown before anything is changed.
 */
export function ensureGatewayAddresses(
  host: NetworkStack,
  link: Link,
  gateways: readonly Prefix[],
  force: boolean,
): void {
  const { kernel } = host
  const present = listAddresses(kernel, link.index).map(({ prefix }) => prefix)
  const missing = gateways.filter((gateway) => !present.some((prefix) => samePrefix(prefix, gateway)))
  if (missing.length === 0) return
  for (const gateway of missing) {
    const conflict = [...present, ...gateways].find((other) => inTheWay(other, gateway))
    if (conflict && !force) throw occupied(link.name, gateway, conflict)
  }
  for (const gateway of missing) {
    for (const prefix of present.filter((other) => inTheWay(other, gateway))) {
      removeAddress(kernel, link.index, link.name, prefix)
    }
    addGateway(kernel, link, gateway)
  }
  const mac = readLink(kernel, link.index)?.mac
  if (mac) changeLink(kernel, link.index, link.name, { mac })
}

function addGateway(kernel: Conversation, link: Link, gateway: Prefix): void {
  const skipDetection = gateway.address.family === 6
  try {
    addAddress(kernel, { index: link.index, link: link.name, prefix: gateway, skipDetection })
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error // another ADD was faster
  }
}

function inTheWay(present: Prefix, gateway: Prefix): boolean {
  if (present.address.family !== gateway.address.family || samePrefix(present, gateway)) return false
  return gateway.address.family === 4 || overlaps(present, gateway)
}

function occupied(name: string, gateway: Prefix, present: Prefix): Conflict {
  return new Conflict(
    `${JSON.stringify(name)} already has an IP address different from ${formatPrefix(gateway)}`,
    `it has ${formatPrefix(present)}; remove that address, or set "forceAddress": true to have it replaced`,
  )
}
