import type { Attachment } from "../cni/attachment.ts"
import { sha512Hex } from "../sys/digest.ts"
import { host } from "../sys/host.ts"

const PREFIX = "veth"
const NETWORK_DIGITS = 4
const ATTACHMENT_DIGITS = 7
const TEMPORARY_PREFIX = "cni-ts"
const TEMPORARY_DIGITS = 9

/**
 * Returns the name of the attachment's host end, computed from the attachment alone, so that any later call finds it without the pod's namespace:
 * `veth`, four base-32 digits of the network and seven of the attachment, together the 15 bytes the kernel allows.
 */
export function hostVethName({ network, containerId, ifname }: Attachment): string {
  return networkVethPrefix(network) + digits(`${network}\n${containerId}\n${ifname}`, ATTACHMENT_DIGITS)
}

function networkVethPrefix(network: string): string {
  return PREFIX + digits(network, NETWORK_DIGITS)
}

/** Whether hostVethName() may have made the name. Those of the Go plugins, of Docker and others are shorter. */
export function isHostVethName(name: string): boolean {
  return name.startsWith(PREFIX) && name.length === PREFIX.length + NETWORK_DIGITS + ATTACHMENT_DIGITS
}

/** As isHostVethName, for an attachment in the network. */
export function isHostVethNameIn(name: string, network: string): boolean {
  return isHostVethName(name) && name.startsWith(networkVethPrefix(network))
}

/** The name of the bridge's end of a gateway interface, `cni0.100`. */
export function gatewayPortName(gateway: string): string {
  return PREFIX + digits(`gateway\n${gateway}`, NETWORK_DIGITS + ATTACHMENT_DIGITS)
}

/** What a link of the attachment's is called in the pod until it has its own name, and then its alias until ADD is done: `cni-ts` and nine digits. */
export function temporaryName({ network, containerId, ifname }: Attachment): string {
  return TEMPORARY_PREFIX + digits(`temporary\n${network}\n${containerId}\n${ifname}`, TEMPORARY_DIGITS)
}

function digits(text: string, count: number): string {
  const value = BigInt(`0x${sha512Hex(text).slice(0, 32)}`)
  return value.toString(32).padStart(26, "0").slice(-count)
}

/** What every such alias starts with. */
const ALIAS_MARK = "cni-ts "
/** What stands in one whose attachment is too long to be spelt out. */
const DIGEST_MARK = `${ALIAS_MARK}sha512 `

/** IFALIASZ less the NUL that ends ours and the one that the kernel puts behind whatever it gets. */
const ALIAS_BYTES = 254

/**
 * The alias that ADD's last step puts on the host end, for people (`ip link`) and as the mark of a finished attachment:
 * a veth without it is what a killed ADD left.
 */
export function attachmentAlias({ network, containerId, ifname }: Attachment): string {
  const alias = `${ALIAS_MARK}${network} ${containerId} ${ifname}`
  return host.encode(alias).length <= ALIAS_BYTES
    ? alias
    : `${DIGEST_MARK}${sha512Hex(`${network}\n${containerId}\n${ifname}`)}`
}

/** The attachment that the alias of a finished attachment spells out; undefined if it spells none. */
export function attachmentInAlias(alias: string): Attachment | undefined {
  const [mark, network, containerId, ifname, ...more] = alias.split(" ")
  if (`${mark} ` !== ALIAS_MARK || !network || !containerId || !ifname || more.length > 0) return undefined
  return { network, containerId, ifname }
}

/** Whether a veth of the attachment's computed name is the attachment's to remove: it says so, or says nothing, as a killed ADD leaves it. */
export function isOursOrUnfinished(alias: string, attachment: Attachment): boolean {
  return alias === "" || alias === attachmentAlias(attachment)
}

/** As isOursOrUnfinished, for any attachment of the network. */
export function isOursOrUnfinishedIn(alias: string, network: string): boolean {
  return alias === "" || alias.startsWith(`${ALIAS_MARK}${network} `) || alias.startsWith(DIGEST_MARK)
}

/** Whether some attachment of ours bears it. */
export function isAttachmentAlias(alias: string): boolean {
  return alias.startsWith(ALIAS_MARK)
}
