import type { Attachment } from "../cni/attachment.ts"
import { MAX_COMMENT_BYTES } from "../netlink/netfilter/comment.ts"
import { sha512Hex } from "../sys/digest.ts"

/*
 * Rules are found again by their comments, as the Go plugins write and find them: a digest of the network, one of the attachment within
 * it, and then what people can read.
 */

/** Returns the beginning of the comments of all rules of a network. */
export function networkRuleKey(network: string): string {
  return `${digest(network)}-`
}

/** Returns the beginning of the comments of an attachment's rules. */
export function ruleKey({ network, containerId, ifname }: Attachment): string {
  return networkRuleKey(network) + digest(`${ifname}:${containerId}`)
}

/** Returns the key within a comment that has one, or some other text. */
export function keyIn(comment: string): string {
  return comment.slice(0, 2 * DIGITS + 1)
}

/** Returns the whole comment, cut to the length that `nft` allows. */
export function ruleComment(attachment: Attachment): string {
  const { network, containerId, ifname } = attachment
  return cutComment(`${ruleKey(attachment)}, net: ${plain(network)}, if: ${plain(ifname)}, id: ${plain(containerId)}`)
}

/** Returns as much of a plain text as `nft` allows in a comment. */
export function cutComment(text: string): string {
  return text.slice(0, MAX_COMMENT_BYTES)
}

/**
 * Says if `nft` reads the text back as it writes it, as a chain's name or in a comment: it knows no way to write a quote or a brace, and
 * a node that saves and reloads its ruleset would come up without.
 */
export function isPlain(text: string): boolean {
  return !/[^a-zA-Z0-9_.-]/.test(text)
}

/** Returns the text, or a digest in the place of one that is not plain. */
export function plain(text: string): string {
  return isPlain(text) ? text : `sha512-${digest(text)}`
}

const DIGITS = 16

function digest(text: string): string {
  return sha512Hex(text).slice(0, DIGITS)
}
