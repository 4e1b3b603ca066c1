import type { Attachment } from "../cni/attachment.ts"
import type { NetworkStack } from "../net/stack.ts"
import type { Link } from "../netlink/route/link.ts"
import { NOT_ASSIGNED, readNamespaceId } from "../netlink/route/namespace-id.ts"
import { attachmentAlias, isAttachmentAlias } from "./alias.ts"
import { isHostVethOf } from "./names.ts"

/**
 * Says if a link of the host is the host end of the attachment's veth pair, by what the pod cannot choose: a veth of ours is known by its alias or
 * computed name; of any other the kernel has to say that the other end lives in the namespace behind the descriptor `fd`, if there is one. Which
 * of the pod's interfaces that is, only the pod knows.
 */
export function isHostEnd(host: NetworkStack, link: Link, attachment: Attachment, fd: number | undefined): boolean {
  if (link.kind !== "veth") return false
  if (isAttachmentAlias(link.alias)) return link.alias === attachmentAlias(attachment)
  if (isHostVethOf(link.name, attachment)) return true
  if (fd === undefined || link.peerNamespace === undefined) return false
  return link.peerNamespace === readNamespaceId(host.rtnetlink, fd)
}

/** Says if the link's other end lives in a namespace other than the one behind the descriptor `fd`. */
export function leadsElsewhere(host: NetworkStack, { peerNamespace }: Link, fd: number | undefined): boolean {
  if (fd === undefined || peerNamespace === undefined || peerNamespace === NOT_ASSIGNED) return false
  return peerNamespace !== readNamespaceId(host.rtnetlink, fd)
}
