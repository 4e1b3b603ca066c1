import type { Attachment } from "../cni/attachment.ts"
import type { NetworkStack } from "../net/stack.ts"
import { type Link, listLinks } from "../netlink/route/link.ts"
import { attachmentInAlias } from "./alias.ts"
import { gatewayPortName } from "./names.ts"

/**
 * Returns the attachments of the node's veths: a veth is there only as long as its pod's network namespace. Undefined if one does not say whose
 * it is, as those of the Go plugins and of others: it may be anybody's.
 */
export function readLivingAttachments({ rtnetlink }: NetworkStack): readonly Attachment[] | undefined {
  const { links, partial } = listLinks(rtnetlink)
  const attachments = podVeths(links).map(({ alias }) => attachmentInAlias(alias))
  const known = attachments.filter((attachment) => attachment !== undefined)
  return partial || known.length < attachments.length ? undefined : known
}

/** Returns all veths but the pairs by which the node itself is in a bridge's VLAN. */
function podVeths(links: readonly Link[]): Link[] {
  const veths = links.filter(({ kind }) => kind === "veth")
  const names = new Set(veths.map(({ name }) => name))
  const gateways = veths.filter(({ name }) => names.has(gatewayPortName(name)))
  const both = new Set(gateways.flatMap(({ name }) => [name, gatewayPortName(name)]))
  return veths.filter(({ name }) => !both.has(name))
}
