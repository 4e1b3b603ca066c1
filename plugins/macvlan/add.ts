import { readConfiguredMac } from "../../lib/attachment/interface-keys.ts"
import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { findMaster, onSharedMaster } from "../../lib/attachment/master.ts"
import { configurePodLink, createPodLink, type NewPodLink } from "../../lib/attachment/pod-link.ts"
import type { Result } from "../../lib/cni/result.ts"
import { createMacvlan } from "../../lib/netlink/route/new-link.ts"
import type { MacvlanConfig } from "./config.ts"

/** Gives one pod a macvlan on the master. */
export function add(context: AddContext<MacvlanConfig>): Result {
  const { call, config, attachment, host, pod, undo } = context
  const { mode, mtu, broadcastQueue } = config
  const mac = readConfiguredMac(call)
  const source = config.linkInContainer ? pod : host
  const master = findMaster(source, config)
  const macvlan = { on: master.index, mode, mac, mtu, broadcastQueue }
  const create: NewPodLink["create"] = (rtnetlink, named) =>
    onSharedMaster("macvlan", master, () => createMacvlan(rtnetlink, { ...macvlan, ...named }))
  const link = createPodLink(pod, { attachment, source, create }, undo)
  return configurePodLink(context, link, mtu === 0 ? "master" : "mtu")
}
