import { hasIPv6 } from "../../lib/attachment/addresses.ts"
import { alreadyAttached } from "../../lib/attachment/already-attached.ts"
import { assertRoomForIPv6 } from "../../lib/attachment/interface-keys.ts"
import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { configurePodInterface } from "../../lib/attachment/pod-interface.ts"
import { noDns, type Result } from "../../lib/cni/result.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { type Link, readLink } from "../../lib/netlink/route/link.ts"
import type { HostDeviceConfig } from "./config.ts"
import { assertNamesDevice, lostName, requireDevice } from "./device.ts"
import { moveIn } from "./move.ts"
import { isDrivenByProgram } from "./sysfs.ts"

/** Moves the device into the pod. One that a program drives stays where it is, and has no MAC address to tell of. */
export function add(context: AddContext<HostDeviceConfig>): Result {
  assertNamesDevice(context.config)
  if (isDrivenByProgram(context.config)) return resultOf(context, "", context.takeAddresses())
  const device = findFree(context)
  // Before the device is moved, which takes the addresses and routes that it had on the node.
  const taken = context.takeAddresses()
  if (hasIPv6(taken.ips)) assertRoomForIPv6("device", device.mtu)
  attach(context, device, taken)
  return resultOf(context, formatMac(device.mac), taken)
}

/** Returns the device, for which the pod has room. */
function findFree({ attachment, config, host, pod }: AddContext<HostDeviceConfig>): Link {
  const { ifname } = attachment
  if (readLink(pod.rtnetlink, ifname)) {
    throw alreadyAttached(`interface ${JSON.stringify(ifname)} already exists in the pod`)
  }
  return requireDevice(host, config)
}

function attach(context: AddContext<HostDeviceConfig>, device: Link, { ips, routes }: Result): void {
  const { attachment, config, host, pod, undo } = context
  const { ifname } = attachment
  const nameOnNode = lostName(device, config, ifname) ?? device.name
  moveIn({ host, pod }, { device, nameOnNode, ifname, up: config.ipamType === "" }, undo)
  if (config.ipamType === "") return
  const moved = readLink(pod.rtnetlink, ifname) // the pod may have had a link of the device's index
  if (!moved) throw new Conflict(`interface ${ifname} vanished from the pod while it was being set up`, "try again")
  configurePodInterface(pod, {
    index: moved.index,
    name: ifname,
    addresses: ips.map(({ address, gateway }) => ({ prefix: address, gateway })),
    routes: routes.map(({ gw, ...route }) => ({ ...route, gateway: gw })),
    detectDuplicates: true, // others may live on the network that it leads to
  })
}

/** Returns the result; `dns` is the configuration's if there is IPAM, whose own never counts. */
function resultOf({ call, config }: AddContext<HostDeviceConfig>, mac: string, { ips, routes }: Result): Result {
  const { ifname, netns } = call.environment
  return {
    interfaces: [{ name: ifname, mac, sandbox: netns }],
    ips: ips.map((ip) => ({ ...ip, interface: 0 })),
    routes,
    dns: config.ipamType === "" ? noDns : config.dns,
  }
}
