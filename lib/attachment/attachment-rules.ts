import type { Attachment } from "../cni/attachment.ts"
import type { Held, Removal } from "../net/foreign-jumps.ts"
import type { NetworkStack } from "../net/stack.ts"

/** Packet filter rules that a plugin makes for an attachment, as DEL and GC see them. */
export interface AttachmentRules {
  /** Plans, for removeWithChains(), to remove the attachment's, whoever made them. */
  readonly planRemoval: (host: NetworkStack, attachment: Attachment) => Removal
  /** Removes those of the network's attachments that are not among `valid`, the runtime's list, or without one of those that are certainly gone. */
  readonly collect: (host: NetworkStack, network: string, valid: readonly Attachment[] | undefined) => CollectedRules
  /** Set if they keep the pod from sending what it may not: then it has to be silent before they go. */
  readonly guard?: true
}

export interface CollectedRules {
  /** The rules and chains that are gone, each in words. */
  readonly removed: readonly string[]
  /** Chains that rules of others keep. */
  readonly held: readonly Held[]
}
