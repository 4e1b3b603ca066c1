import type { Attachment } from "../cni/attachment.ts"
import { sha512Hex } from "../sys/digest.ts"

const VETH_PREFIX = "veth"
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
  return VETH_PREFIX + digits(network, NETWORK_DIGITS)
}

/** Says if hostVethName() may have made the name, or gatewayPortName(). Those of the Go plugins, of Docker and others are shorter. */
export function isHostVethName(name: string): boolean {
  return name.startsWith(VETH_PREFIX) && name.length === VETH_PREFIX.length + NETWORK_DIGITS + ATTACHMENT_DIGITS
}

/** Says if the name is that of the attachment's host end. Few names can be: others cost no digest. */
export function isHostVethOf(name: string, attachment: Attachment): boolean {
  return isHostVethName(name) && name === hostVethName(attachment)
}

/** As isHostVethName, for an attachment of the network. */
export function isHostVethNameIn(name: string, network: string): boolean {
  return isHostVethName(name) && name.startsWith(networkVethPrefix(network))
}

/** Returns the name of the bridge's end of a gateway interface, `cni0.100`. */
export function gatewayPortName(gateway: string): string {
  return VETH_PREFIX + digits(`gateway\n${gateway}`, NETWORK_DIGITS + ATTACHMENT_DIGITS)
}

/** Returns the name of a link without a peer (pod-link.ts) while it is being made, which then is its alias until ADD ends (alias.ts). */
export function temporaryName({ network, containerId, ifname }: Attachment): string {
  return TEMPORARY_PREFIX + digits(`temporary\n${network}\n${containerId}\n${ifname}`, TEMPORARY_DIGITS)
}

function digits(text: string, count: number): string {
  const value = BigInt(`0x${sha512Hex(text).slice(0, 32)}`)
  return value.toString(32).padStart(26, "0").slice(-count)
}
