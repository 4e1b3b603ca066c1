import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isOfAttachment, isStablePath } from "../../lib/attachment/same-pod.ts"
import { readableResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Interface } from "../../lib/cni/result.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { Undo } from "../../lib/net/undo.ts"
import { changeLink, type Link, listLinks, readLink } from "../../lib/netlink/route/link.ts"
import { type DeviceKeys, namesDevice, readableDeviceKeys } from "./config.ts"
import { findDevice, isDeviceInPod, isDeviceName, lostName } from "./device.ts"
import { giveBack, type Stacks } from "./move.ts"

/** Gives the attachment's device back to the node. If the pod is gone, the kernel has, and only its name may be missing. */
export function remove(call: Call): void {
  const keys = readableDeviceKeys(call.config)
  using host = NetworkStack.host()
  using pod = openPodIfPresent(call.environment.netns)
  const link = pod && findInPod(host, pod, call, keys)
  if (pod && link) takeOut(host, pod, call, { link, nameOnNode: nameOf({ host, pod }, link, keys) })
  else restoreName(host, call, keys, call.environment.ifname)
}

interface Leaving {
  readonly link: Link
  readonly nameOnNode: string
}

function takeOut(host: NetworkStack, pod: NetworkStack, { log }: Call, { link, nameOnNode }: Leaving): void {
  using undo = new Undo()
  const name = giveBack({ host, pod }, link, nameOnNode, undo)
  undo.commit()
  if (name !== nameOnNode)
    log.noticed(`the node has another ${nameOnNode} by now: what came back from the pod is ${name}`)
}

/** Gives the network's device its name back that the kernel did not know, if it is on the node without. */
export function collect(call: Call): void {
  using host = NetworkStack.host()
  restoreName(host, call, readableDeviceKeys(call.config))
}

function restoreName(host: NetworkStack, { log }: Call, keys: DeviceKeys, ifname?: string): void {
  const link = namesDevice(keys) ? findDevice(host, keys) : undefined
  const name = link && lostName(link, keys, ifname)
  if (!name || readLink(host.rtnetlink, name)) return
  changeLink(host.rtnetlink, link.index, link.name, { name, alias: "" })
  log.noticed(`the device ${link.name}, which came back from a pod, is ${name} again`)
}

/** Returns the attachment's device in the pod, which may have renamed it, as a killed DEL may have; undefined if none certainly is. */
function findInPod(host: NetworkStack, pod: NetworkStack, call: Call, keys: DeviceKeys): Link | undefined {
  const link = readLink(pod.rtnetlink, call.environment.ifname)
  if (link && isOwn(call, { host, pod }, link, keys)) return link
  return listLinks(pod.rtnetlink).links.find((candidate) => isDeviceInPod(candidate, keys))
}

/** Says if the link of the interface's name is the attachment's, and not one that another network of the pod has, or another pod by now. */
function isOwn(call: Call, { host, pod }: Stacks, link: Link, { device }: DeviceKeys): boolean {
  if (!isDeviceName(link.alias)) return false
  if (link.alias === device) return true
  if (device !== "" && readLink(host.rtnetlink, device)) return isTold(call, link)
  return isStablePath(call.environment.netns) || isOfAttachment(call, pod, link)
}

/** Says if the result of ADD tells of the link: if `device` is another, it was named since. */
function isTold({ config, environment: { ifname } }: Call, link: Link): boolean {
  const isIt = ({ name, sandbox, mac }: Interface) =>
    name === ifname && sandbox !== "" && mac.toLowerCase() === formatMac(link.mac)
  return readableResult(config).interfaces.some(isIt)
}

/**
 * Returns the device's name on the node: `device`, unless that is a further name of it, or another device there by now. Else it is the alias,
 * which the pod may have changed.
 */
function nameOf({ host, pod }: Stacks, link: Link, { device }: DeviceKeys): string {
  if (device === "" || device === link.alias || readLink(host.rtnetlink, device)) return link.alias
  return readLink(pod.rtnetlink, device)?.index === link.index ? link.alias : device
}
