import { hasIPv6, takeAddresses } from "../../lib/attachment/addresses.ts"
import { assertRoomForIPv6 } from "../../lib/attachment/interface-keys.ts"
import { ownerAlias } from "../../lib/attachment/names.ts"
import { configurePodInterface } from "../../lib/attachment/pod-interface.ts"
import { openPodAlone } from "../../lib/attachment/pod-stack.ts"
import { ownerOf } from "../../lib/cni/attachment.ts"
import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { emptyResult, type Result } from "../../lib/cni/result.ts"
import { assertExpressible } from "../../lib/cni/result-print.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { Undo } from "../../lib/net/undo.ts"
import { changeLink } from "../../lib/netlink/route/link.ts"
import { readMacvlanConfig, readRequestedMac } from "./config.ts"
import { findMaster } from "./master.ts"
import { createPodMacvlan } from "./pod-macvlan.ts"

/** Gives one pod a macvlan on the master, or leaves node and pod as they were. */
export function add(call: Call): Result {
  const config = readMacvlanConfig(call.config)
  const mac = readRequestedMac(call)
  assertExpressible(call.config.cniVersion, config.ipamType !== "")
  const ipam = config.ipamType === "" ? undefined : findDelegate(call, config.ipamType)
  const owner = ownerOf(call)
  using host = NetworkStack.host()
  using pod = openPodAlone(call.environment.netns)
  using undo = new Undo()

  const source = config.linkInContainer ? pod : host
  const { mode, mtu, broadcastQueue } = config
  const on = findMaster(source, config).index
  const link = createPodMacvlan(source, pod, { owner, on, mode, mac, mtu, broadcastQueue }, undo)
  const { ips, routes } = ipam ? takeAddresses(ipam, config.ipamType, undo) : emptyResult
  if (hasIPv6(ips)) assertRoomForIPv6(mtu === 0 ? "master" : "mtu", link.mtu)
  if (ipam) {
    configurePodInterface(pod, {
      index: link.index,
      name: owner.ifname,
      addresses: ips.map(({ address, gateway }) => ({ prefix: address, gateway })),
      routes: routes.map(({ gw, ...route }) => ({ ...route, gateway: gw })),
      detectDuplicates: true, // others may live on the master's network
    })
  }
  changeLink(pod.kernel, link.index, owner.ifname, { up: true, alias: ownerAlias(owner) })

  undo.keep()
  return {
    interfaces: [{ name: owner.ifname, mac: formatMac(link.mac), sandbox: call.environment.netns }],
    ips: ips.map((ip) => ({ ...ip, interface: 0 })),
    routes,
    dns: config.dns,
  }
}
