import { readConfiguredMac } from "../../lib/attachment/interface-keys.ts"
import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { configurePodLink, createPodLink, type NewPodLink } from "../../lib/attachment/pod-link.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { changeLink, type Link, readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { failedWith } from "../../lib/sys/system-error.ts"
import { createTap, type NewTap } from "../../lib/sys/tap.ts"
import type { TapConfig } from "./config.ts"

/** Gives one pod a tap. Nobody has opened it yet, so no duplicate of its addresses can be detected. */
export function add(context: AddContext<TapConfig>): Result {
  const { call, config, attachment, pod, undo } = context
  const mac = readConfiguredMac(call)
  const mtu = config.mtu || undefined
  const bridge = findBridge(pod, config)
  const create: NewPodLink["create"] = (_, { name }) => createOrReplace(pod, { ...config, name })
  const link = createPodLink(pod, { attachment, source: pod, create }, undo)
  const change = { ...(mac && { mac }), ...(mtu && { mtu }), ...(bridge && { master: bridge.index }) }
  const { rtnetlink } = pod
  if (Object.keys(change).length > 0)
    unlessPortless(bridge, () => changeLink(rtnetlink, link.index, attachment.ifname, change))
  return configurePodLink(context, { ...link, ...change }, "mtu", false)
}

/** Returns the link that the tap is to be a port of; undefined if it is to be none. Throws code 7 if the pod has no such link. */
function findBridge({ rtnetlink }: NetworkStack, { bridge }: TapConfig): Link | undefined {
  if (bridge === "") return undefined
  const link = readLink(rtnetlink, bridge)
  if (!link) throw invalidConfig("bridge", `there is no interface ${JSON.stringify(bridge)} in the pod`)
  return link
}

/** Throws code 7 if the kernel makes the tap no port of what `bridge` names. */
function unlessPortless(bridge: Link | undefined, change: () => void): void {
  try {
    change()
  } catch (error) {
    if (!bridge || !refusedWith(error, "EOPNOTSUPP")) throw error
    throw invalidConfig("bridge", `${JSON.stringify(bridge.name)} is no bridge: it can have no ports`)
  }
}

/** Makes the tap in the pod. One of that name was left by a killed ADD: the name is the attachment's own. */
function createOrReplace(pod: NetworkStack, wanted: NewTap): void {
  const create = () => pod.inside(() => createTap(wanted))
  try {
    create()
  } catch (error) {
    if (!failedWith(error, "EBUSY") || !removeLink(pod.rtnetlink, wanted.name)) throw error
    create()
  }
}
