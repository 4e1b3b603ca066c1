import type { Attachment } from "../../../lib/cni/attachment.ts"
import { commentData } from "../../../lib/netlink/netfilter/comment.ts"
import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"

/**
 * The tag that names the attachment of a rule. The comment is the container's id, by which the Go plugin finds the rule too. The note,
 * which `nft` and the Go plugin do not see, is network and interface: it tells a container's attachments apart.
 */
export interface RuleTag {
  readonly comment: string
  readonly note: string
}

/** Our shared rules have a note and no comment: the Go plugin writes them without. */
export const SHARED_DATA = commentData(undefined, "cni-ts")

const MAX_ID = 128
const MAX_NETWORK = 100
/** Precedes a digest; neither a container id nor a network's name can contain it. */
const DIGEST = "#"

export function tagOf({ network, containerId, ifname }: Attachment): RuleTag {
  return { comment: commentOf(containerId), note: `${networkPart(network)} ${ifname}` }
}

/** Returns the container's id, or, if it is too long for `nft`, its beginning and a digest of it. */
export function commentOf(containerId: string): string {
  if (containerId.length <= MAX_ID) return containerId
  return `${containerId.slice(0, MAX_ID - 33)}${DIGEST}${sha512Hex(containerId).slice(0, 32)}`
}

function networkPart(network: string): string {
  return network.length <= MAX_NETWORK ? network : DIGEST + sha512Hex(network).slice(0, 64)
}

/** Returns true if the note names an interface in the network. */
export function isNoteIn(network: string, note: string): boolean {
  return note.startsWith(`${networkPart(network)} `)
}

/** Returns the attachment that the tag names in full; undefined if a part is missing or only a digest. */
export function attachmentIn({ comment, note = "" }: Pick<FoundRule, "comment" | "note">): Attachment | undefined {
  const [network, ifname] = note.split(" ")
  if (!comment || !network || !ifname || comment.includes(DIGEST) || network.startsWith(DIGEST)) return undefined
  return { network, containerId: comment, ifname }
}
