import type { Attachment } from "../cni/attachment.ts"
import { sha512Hex } from "../sys/digest.ts"
import { host } from "../sys/host.ts"

/*
 * ADD's last step gives the attachment's link an alias that spells the attachment out. Without an alias the link is unfinished: a killed
 * ADD left it, for the kernel takes no alias with the request that makes a link. It is known as the attachment's by what that request sets:
 * a veth by its computed name, an ifb by its computed MAC address, as its name is one that the Go plugin gives to all interfaces of a
 * container. A macvlan, ipvlan or VLAN interface bears the pod's own name before it is finished, as kernels before 6.2 rename no link that is up, and the Go plugin's
 * have no alias either: so its alias is its temporary name until then.
 */

/** Begins the alias of every attachment. */
const ALIAS_MARK = "cni-ts "
/** Begins those of attachments that are too long to be spelt out. */
const DIGEST_MARK = `${ALIAS_MARK}sha512 `

/** IFALIASZ less the NUL that ends ours and the one that the kernel puts behind whatever it gets. */
const ALIAS_BYTES = 254

/** Returns the alias of a finished attachment. */
export function attachmentAlias({ network, containerId, ifname }: Attachment): string {
  const alias = `${ALIAS_MARK}${network} ${containerId} ${ifname}`
  return host.encode(alias).length <= ALIAS_BYTES
    ? alias
    : `${DIGEST_MARK}${sha512Hex(`${network}\n${containerId}\n${ifname}`)}`
}

/** Returns the attachment that an alias spells out; undefined if it spells none. */
export function attachmentInAlias(alias: string): Attachment | undefined {
  const [mark, network, containerId, ifname, ...more] = alias.split(" ")
  if (`${mark} ` !== ALIAS_MARK || !network || !containerId || !ifname || more.length > 0) return undefined
  return { network, containerId, ifname }
}

/** Says if the alias is that of a finished attachment, whichever that is. */
export function isAttachmentAlias(alias: string): boolean {
  return alias.startsWith(ALIAS_MARK)
}

/** Says if a veth or ifb of ours is unfinished. Its name or MAC address has to show that it is ours: the Go plugins set no alias. */
export function isUnfinished(alias: string): boolean {
  return alias === ""
}

/** Says if a link that has a name of the attachment's is not another's: its alias is the attachment's, or it has none. */
export function isOursOrUnfinished(alias: string, attachment: Attachment): boolean {
  return isUnfinished(alias) || alias === attachmentAlias(attachment)
}

/** As isOursOrUnfinished, for any attachment of the network. A digest does not tell the network: its link's name or MAC address has to. */
export function isOursOrUnfinishedIn(alias: string, network: string): boolean {
  return isUnfinished(alias) || alias.startsWith(`${ALIAS_MARK}${network} `) || alias.startsWith(DIGEST_MARK)
}
