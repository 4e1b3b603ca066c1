import { CniError, code } from "../../lib/cni/errors.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { type Link, listLinks, readLink } from "../../lib/netlink/route/link.ts"
import { host } from "../../lib/sys/host.ts"
import { readLiveNamespaces } from "../../lib/sys/live-namespaces.ts"
import { type DeviceKeys, namesDevice } from "./config.ts"
import { interfaceInSysfs, isDrivenByProgram, isInSysfs } from "./sysfs.ts"

/*
 * In the pod the device's alias is its name on the node, as the Go plugin has it too: so either plugin's DEL gives it back. If the pod's
 * namespace ends before, the kernel destroys a virtual device, and gives a physical one back to the initial namespace: down, under the name
 * that it had in the pod, or `dev` and a number if that is taken. The alias stays.
 */

/** The names that the kernel gives to devices of a namespace that ends. */
const KERNELS_NAME = /^dev\d+$/

/** Says if the alias may be a link's name on the node: names have 1 to 15 bytes. An unfinished macvlan's alias is none. */
export function isDeviceName(alias: string): boolean {
  if (host.encode(alias).length > 15) return false
  return /^[^\s/:%]+$/.test(alias) && !/^\.\.?$|^cni-ts[0-9a-v]{9}$/.test(alias)
}

/** Returns the node's link that the keys name, if need be under the name that the kernel gave it back with; undefined if it is not on the node. */
export function findDevice({ rtnetlink }: NetworkStack, keys: DeviceKeys): Link | undefined {
  const { device, hwaddr } = keys
  if (device !== "") {
    return readLink(rtnetlink, device) ?? listLinks(rtnetlink).links.find((link) => lostName(link, keys) === device)
  }
  if (hwaddr !== "") return listLinks(rtnetlink).links.find(({ mac }) => formatMac(mac) === hwaddr)
  const name = interfaceInSysfs(keys)
  return name === undefined ? undefined : readLink(rtnetlink, name)
}

/** As findDevice. Throws Conflict that names the pod that has the device, or code 7 if nobody is known to. */
export function requireDevice(node: NetworkStack, keys: DeviceKeys): Link {
  const device = findDevice(node, keys)
  if (device) return device
  const elsewhere = findElsewhere(keys)
  if (!elsewhere) throw missing(keys)
  throw new Conflict(
    `the device with ${describe(keys)} is in the network namespace ${elsewhere.path}, as ${JSON.stringify(elsewhere.name)}`,
    "a device is in one pod at a time: DEL that attachment first, or name another device",
  )
}

/** Throws code 7 unless there is such a device, on the node or in a pod. */
export function assertExists(node: NetworkStack, keys: DeviceKeys): void {
  if (isDrivenByProgram(keys) || findDevice(node, keys)) return
  const isThere = keys.device !== "" || keys.hwaddr !== "" ? findElsewhere(keys) !== undefined : isInSysfs(keys)
  if (!isThere) throw missing(keys)
}

function missing(keys: DeviceKeys): CniError {
  const details = "ip link shows the devices of the node; it may be in a pod"
  return new CniError(
    code.invalidConfig,
    `failed to find host device: the node has none with ${describe(keys)}`,
    details,
  )
}

function describe({ device, hwaddr, kernelpath, pciBusID, deviceID }: DeviceKeys): string {
  const keys = { device, hwaddr, kernelpath, deviceID, pciBusID }
  const [key, value] = Object.entries(keys).find(([, text]) => text !== "") ?? []
  return `${key} ${JSON.stringify(value)}`
}

/**
 * Returns the name that a link of the node had before a pod got it, if the kernel gave it back under another. `ifname` is the name that it had
 * in the pod, if that is known. The alias of a link that is up, or has a name of its own, may be anybody's.
 */
export function lostName({ name, alias, up }: Link, { device }: DeviceKeys, ifname?: string): string | undefined {
  if (up || alias === name || !isDeviceName(alias)) return undefined
  const isBack = device === "" ? name === ifname || KERNELS_NAME.test(name) : alias === device
  return isBack ? alias : undefined
}

/** Says if a pod's link is the device, as its alias or MAC address has it. Where a PCI device is, a pod's links do not tell. */
export function isDeviceInPod({ alias, mac }: Link, { device, hwaddr }: DeviceKeys): boolean {
  if (!isDeviceName(alias)) return false
  return device !== "" ? alias === device : hwaddr !== "" && formatMac(mac) === hwaddr
}

/** Returns the namespace in which a pod has the device, and its name there; undefined if none is found. It is for errors and STATUS alone. */
function findElsewhere(keys: DeviceKeys): { path: string; name: string } | undefined {
  for (const path of unlessFailing(readLiveNamespaces)?.values() ?? []) {
    const link = path && unlessFailing(() => findInNamespace(path, keys))
    if (link) return { path, name: link.name }
  }
  return undefined
}

function findInNamespace(path: string, keys: DeviceKeys): Link | undefined {
  using stack = NetworkStack.pod(path)
  return listLinks(stack.rtnetlink).links.find((link) => isDeviceInPod(link, keys))
}

/** Returns undefined if the action fails: namespaces come and go while they are read. */
function unlessFailing<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

/** Throws code 7 if the keys name no device. */
export function assertNamesDevice(keys: DeviceKeys): void {
  if (namesDevice(keys)) return
  const message = 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"'
  throw new CniError(code.invalidConfig, message, "the config has to say which device of the node it is about")
}
