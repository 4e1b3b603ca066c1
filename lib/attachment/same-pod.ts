import { readableResult } from "../cni/config.ts"
import type { Call } from "../cni/plugin.ts"
import { formatMac } from "../ip/mac.ts"
import { samePrefix } from "../ip/prefix.ts"
import type { NetworkStack } from "../net/stack.ts"
import { listAddresses } from "../netlink/route/address.ts"
import type { Link } from "../netlink/route/link.ts"
import { unlessMissing } from "../sys/file.ts"
import { linkStatus, S_IFLNK } from "../sys/file-status.ts"

/**
 * Says if what DEL found in the namespace under the interface's name, without a mark of ours, is the attachment's: the namespace may be another
 * pod's by now. The result of ADD knows it by its MAC address, or where the path is a stable one, by an address: if `tuning` is behind in the
 * chain, its DEL has set the MAC address back already.
 */
export function isOfAttachment(call: Call, pod: NetworkStack, inPod: Link, onHost?: Link): boolean {
  if (isOfAttachmentByMac(call, inPod, onHost)) return true
  return isStablePath(call.environment.netns) && hasAddressOfResult(call, pod, inPod)
}

/** As isOfAttachment, by the MAC address of either end. A result that tells none leaves it to the path. */
export function isOfAttachmentByMac(call: Call, inPod: Link, onHost?: Link): boolean {
  const { ifname, netns } = call.environment
  const listed = readableResult(call.config).interfaces
  const inResult = listed.find(({ name, sandbox, mac }) => name === ifname && sandbox !== "" && mac !== "")
  if (!inResult) return isStablePath(netns)
  if (inResult.mac.toLowerCase() === formatMac(inPod.mac)) return true
  if (!onHost) return false
  const other = listed.find(({ name, sandbox }) => name === onHost.name && sandbox === "")
  return other?.mac.toLowerCase() === formatMac(onHost.mac)
}

/** As isOfAttachment, for a link that has the MAC address of the link it is on, as others there do: the result knows it by its addresses. */
export function isOfAttachmentByAddress(call: Call, pod: NetworkStack, inPod: Link): boolean {
  const { ips } = readableResult(call.config)
  return ips.length === 0 ? isStablePath(call.environment.netns) : hasAddressOfResult(call, pod, inPod)
}

function hasAddressOfResult({ config }: Call, { rtnetlink }: NetworkStack, { index }: Link): boolean {
  const { ips } = readableResult(config)
  const present = ips.length > 0 ? listAddresses(rtnetlink, index) : []
  return ips.some(({ address }) => present.some(({ prefix }) => samePrefix(prefix, address)))
}

/**
 * Says if the path still leads to the namespace that it led to at ADD: one that runtimes mount, each under a name of its own, does. A symbolic
 * link may lead elsewhere, and `/proc/PID/ns/net` is one: PID may be another process by now.
 */
export function isStablePath(netns: string): boolean {
  const status = unlessMissing(() => linkStatus(netns))
  return status !== undefined && status.type !== S_IFLNK
}
