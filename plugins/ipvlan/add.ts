import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { findMaster, onSharedMaster } from "../../lib/attachment/master.ts"
import { configurePodLink, createPodLink, type NewPodLink } from "../../lib/attachment/pod-link.ts"
import { readPrevResult } from "../../lib/cni/config.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import { emptyResult, type Result } from "../../lib/cni/result.ts"
import { createIpvlan } from "../../lib/netlink/route/new-link.ts"
import type { IpvlanConfig } from "./config.ts"

/** Gives one pod an ipvlan on the master. In a chain and without IPAM, it gets the addresses and routes of the previous result. */
export function add(context: AddContext<IpvlanConfig>): Result {
  const { call, config, attachment, host, pod, undo } = context
  const { mode, mtu, ipamType } = config
  const previous = readPrevResult(call.config)
  const source = config.linkInContainer ? pod : host
  const master = findMaster(source, { ...config, master: config.master || masterIn(previous) })
  const ipvlan = { on: master.index, mode, mtu }
  const create: NewPodLink["create"] = (rtnetlink, named) =>
    onSharedMaster("ipvlan", master, () => createIpvlan(rtnetlink, { ...ipvlan, ...named }))
  const link = createPodLink(pod, { attachment, source, create }, undo)
  const takeAddresses = ipamType === "" ? () => ownAddresses(previous) : context.takeAddresses
  return configurePodLink({ ...context, takeAddresses }, link, mtu === 0 ? "master" : "mtu")
}

/** Returns the only interface of the previous result; "" if there is no such result. */
function masterIn(previous: Result | undefined): string {
  if (!previous) return ""
  const [only, ...others] = previous.interfaces
  if (only?.name && others.length === 0) return only.name
  const count = previous.interfaces.length
  throw invalidConfig("master", `chained master failure: prevResult has not one named interface but ${count}`)
}

/** Returns what a previous result without addresses means, too: a network of layer 2. */
function ownAddresses(previous: Result | undefined): Result {
  return previous && previous.ips.length > 0 ? previous : emptyResult
}
