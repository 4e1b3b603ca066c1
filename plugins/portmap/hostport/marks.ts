import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"

/**
 * How a rule says whose it is. Its comment is the container's id, by which the Go plugin finds it too. Its note, which `nft` and the Go
 * plugin do not see, is the network and the interface, so that one container's attachments are told apart.
 */
export interface RuleMark {
  readonly comment: string
  readonly note: string
}

/** The note of the rules that are no pod's: the Go plugin, when it writes them anew, leaves it out. */
export const SHARED = "cni-ts"

const MAX_ID = 128
const MAX_NETWORK = 100
/** What stands before a digest: no id and no network's name has one. */
const DIGEST = "#"

/** How the rules of an attachment say so. */
export function markOf({ network, containerId, ifname }: Attachment): RuleMark {
  return { comment: commentOf(containerId), note: `${networkPart(network)} ${ifname}` }
}

/** The id, or where `nft` has no room for it its beginning and a digest of it. */
export function commentOf(containerId: string): string {
  if (containerId.length <= MAX_ID) return containerId
  return `${containerId.slice(0, MAX_ID - 33)}${DIGEST}${sha512Hex(containerId).slice(0, 32)}`
}

function networkPart(network: string): string {
  return network.length <= MAX_NETWORK ? network : DIGEST + sha512Hex(network).slice(0, 64)
}

/** Whether a note is that of some interface in the network. */
export function isNoteOf(network: string, note: string): boolean {
  return note.startsWith(`${networkPart(network)} `)
}

/** Who made a rule, as far as it says so in full. */
export function ownerIn(mark: Pick<FoundRule, "comment" | "note">): Attachment | undefined {
  const { comment, note = "" } = mark
  const [network, ifname] = note.split(" ")
  if (!comment || !network || !ifname || comment.includes(DIGEST) || network.startsWith(DIGEST)) return undefined
  return { network, containerId: comment, ifname }
}
