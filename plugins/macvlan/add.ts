import { hasIPv6 } from "../../lib/attachment/addresses.ts"
import { attachmentAlias } from "../../lib/attachment/alias.ts"
import { assertRoomForIPv6 } from "../../lib/attachment/interface-keys.ts"
import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { configurePodInterface } from "../../lib/attachment/pod-interface.ts"
import type { Result } from "../../lib/cni/result.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { changeLink } from "../../lib/netlink/route/link.ts"
import { type MacvlanConfig, readRequestedMac } from "./config.ts"
import { findMaster } from "./master.ts"
import { createPodMacvlan } from "./pod-macvlan.ts"

/** Gives one pod a macvlan on the master. */
export function add({ call, config, attachment, host, pod, undo, takeAddresses }: AddContext<MacvlanConfig>): Result {
  const mac = readRequestedMac(call)
  const source = config.linkInContainer ? pod : host
  const { mode, mtu, broadcastQueue, ipamType } = config
  const on = findMaster(source, config).index
  const link = createPodMacvlan(source, pod, { attachment, on, mode, mac, mtu, broadcastQueue }, undo)
  const { ips, routes } = takeAddresses()
  if (hasIPv6(ips)) assertRoomForIPv6(mtu === 0 ? "master" : "mtu", link.mtu)
  if (ipamType !== "") {
    configurePodInterface(pod, {
      index: link.index,
      name: attachment.ifname,
      addresses: ips.map(({ address, gateway }) => ({ prefix: address, gateway })),
      routes: routes.map(({ gw, ...route }) => ({ ...route, gateway: gw })),
      detectDuplicates: true, // others may live on the master's network
    })
  }
  changeLink(pod.rtnetlink, link.index, attachment.ifname, { up: true, alias: attachmentAlias(attachment) })
  return {
    interfaces: [{ name: attachment.ifname, mac: formatMac(link.mac), sandbox: call.environment.netns }],
    ips: ips.map((ip) => ({ ...ip, interface: 0 })),
    routes,
    dns: config.dns,
  }
}
