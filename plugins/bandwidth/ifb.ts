import { attachmentAlias, isOursOrUnfinished, isOursOrUnfinishedIn, isUnfinished } from "../../lib/attachment/alias.ts"
import { readLivingAttachments } from "../../lib/attachment/living.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { formatMac, type Mac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { changeWithoutAddress } from "../../lib/net/ipv6.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { changeLink, findLinkIndex, type Link, listLinks, readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { createIfb } from "../../lib/netlink/route/new-link.ts"
import { listFilters } from "../../lib/netlink/tc/filter.ts"
import { sameBytes } from "../../lib/sys/bytes.ts"
import { sha512Hex } from "../../lib/sys/digest.ts"

const PREFIX = "bwp"
const DIGITS = 12

/**
 * Returns the two names that an attachment's ifb may have: the Go plugin's, which is the same for all interfaces that a network has in a
 * container, and one of its own for the second interface.
 */
export function ifbNames(attachment: Attachment): readonly [string, string] {
  return [firstName(attachment), secondName(attachment)]
}

/** Compute them one by one: the second is rarely needed. */
const NAMES = [firstName, secondName] as const

function firstName({ network, containerId }: Attachment): string {
  return nameOf(`${network}${containerId}`)
}

function secondName({ network, containerId, ifname }: Attachment): string {
  return nameOf(`${network}\n${containerId}\n${ifname}`)
}

function nameOf(text: string): string {
  return PREFIX + sha512Hex(text).slice(0, DIGITS)
}

/**
 * Returns the MAC address of an attachment's ifb: locally administered, three bytes of the network and two of the attachment. It tells
 * whose the ifb is while that is unfinished.
 */
export function ifbMac({ network, containerId, ifname }: Attachment): Uint8Array {
  const [ofNetwork, own] = [numberOf(network, 3), numberOf(`${network}\n${containerId}\n${ifname}`, 2)]
  return Uint8Array.of(0x02, ofNetwork >> 16, ofNetwork >> 8, ofNetwork, own >> 8, own)
}

/** The bytes that the MAC addresses of a network's ifbs begin with. */
const NETWORK_BYTES = 4

function numberOf(text: string, bytes: number): number {
  return Number.parseInt(sha512Hex(text).slice(0, 2 * bytes), 16)
}

/** An ifb that has just been made. */
export type NewIfb = Pick<Link, "index" | "name" | "mac">

/**
 * Makes the attachment's ifb, up and without alias, for what `veth` receives. Replaces one that an earlier ADD left. It receives nothing itself
 * and needs no address.
 */
export function createOwnIfb(host: NetworkStack, attachment: Attachment, veth: Link, undo: Undo): NewIfb {
  undo.add(() => removeIfbs(host, attachment))
  const mac = ifbMac(attachment)
  const name = createOrReplace(host.rtnetlink, attachment, veth, mac)
  const index = findLinkIndex(host.rtnetlink, name)
  if (index === undefined) throw new Conflict(`ifb ${name} vanished while it was being set up`, "try again")
  changeWithoutAddress(host.rtnetlink, { index, name }, {})
  changeLink(host.rtnetlink, index, name, { up: true })
  return { index, name, mac }
}

function createOrReplace(rtnetlink: Conversation, attachment: Attachment, veth: Link, mac: Mac): string {
  const { mtu } = veth
  for (const nameFor of NAMES) {
    const name = nameFor(attachment)
    if (created(rtnetlink, { name, mac, mtu })) return name
    const present = readLink(rtnetlink, name)
    if (present && present.kind !== "ifb") {
      throw new Conflict(`interface ${name} is in the way: it is no ifb`, "rename or delete it")
    }
    if (present && !isIfbOf(present, attachment) && !isUsedBy(rtnetlink, veth, present)) continue
    removeLink(rtnetlink, name)
    createIfb(rtnetlink, { name, mac, mtu })
    return name
  }
  throw new Conflict(
    `both names of the attachment's ifb are taken: ${ifbNames(attachment).join(", ")}`,
    "DEL the attachment",
  )
}

function created(rtnetlink: Conversation, ifb: Parameters<typeof createIfb>[1]): boolean {
  try {
    createIfb(rtnetlink, ifb)
    return true
  } catch (error) {
    if (refusedWith(error, "EEXIST")) return false
    throw error
  }
}

/** Returns true if alias or MAC address tell that the ifb is the attachment's. Those of the Go plugin's tell nothing. */
function isIfbOf({ alias, mac }: Link, attachment: Attachment): boolean {
  return (
    alias === attachmentAlias(attachment) || (isUnfinished(alias) && formatMac(mac) === formatMac(ifbMac(attachment)))
  )
}

/** Returns true if the ifb has no alias, as the Go plugin's, and `veth` redirects to it. */
function isUsedBy(rtnetlink: Conversation, veth: Link, { alias, index }: Link): boolean {
  if (alias !== "") return false
  return listFilters(rtnetlink, veth.index).some(({ action }) => action?.kind === "redirect" && action.to === index)
}

/** Removes the attachment's ifb, whoever made it, if there is one. One without an alias is another interface's if there is one with its own. */
export function removeIfbs(host: NetworkStack, attachment: Attachment): void {
  const links = ifbNames(attachment).map((name) => readCandidate(host, name, attachment))
  const own = links.filter((link) => link && isIfbOf(link, attachment))
  for (const link of own.length > 0 ? own : links) if (link) removeLink(host.rtnetlink, link.index)
}

/** Returns the attachment's ifb, whoever made it, or undefined. One without an alias is another interface's if there is one with its own. */
export function readIfb(host: NetworkStack, attachment: Attachment): Link | undefined {
  let withoutAlias: Link | undefined
  for (const nameFor of NAMES) {
    const link = readCandidate(host, nameFor(attachment), attachment)
    if (link && isIfbOf(link, attachment)) return link
    withoutAlias ??= link
  }
  return withoutAlias
}

/** Returns the ifb if it is the attachment's or has no alias. */
function readCandidate({ rtnetlink }: NetworkStack, name: string, attachment: Attachment): Link | undefined {
  const link = readLink(rtnetlink, name)
  return link?.kind === "ifb" && isOursOrUnfinished(link.alias, attachment) ? link : undefined
}

/** Lists the ifbs of the network's attachments that are not in `valid`, or, if `valid` is undefined, of those that are certainly gone. */
export function listStaleIfbs(host: NetworkStack, network: string, valid: readonly Attachment[] | undefined): Link[] {
  const ifbs = listIfbs(host, network)
  // Read after the ifbs: a veth is made before its ifb, so none is missed.
  const survivors = valid ?? readLivingAttachments(host)
  const known =
    survivors &&
    new Set(survivors.flatMap((attachment) => [attachmentAlias(attachment), formatMac(ifbMac(attachment))]))
  return ifbs.filter(({ alias, mac }) => known && !known.has(alias || formatMac(mac)))
}

/**
 * Lists the ifbs of the network's attachments, except the Go plugin's. The MAC address tells the network: the name does not, nor does the
 * alias of an attachment that is too long to be spelt out.
 */
function listIfbs({ rtnetlink }: NetworkStack, network: string): Link[] {
  const start = ifbMac({ network, containerId: "", ifname: "" }).subarray(0, NETWORK_BYTES)
  const isOurs = ({ kind, name, alias, mac }: Link) =>
    kind === "ifb" &&
    name.startsWith(PREFIX) &&
    isOursOrUnfinishedIn(alias, network) &&
    sameBytes(mac.subarray(0, NETWORK_BYTES), start)
  return listLinks(rtnetlink).links.filter(isOurs)
}
