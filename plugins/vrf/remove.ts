import { attachmentAlias } from "../../lib/attachment/alias.ts"
import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isOfAttachment } from "../../lib/attachment/same-pod.ts"
import { attachmentOf } from "../../lib/cni/attachment.ts"
import { ifnameProblem } from "../../lib/cni/environment.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { type Link, listLinks, readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"
import { listOwnRoutes, moveLink } from "./routes.ts"
import { readVrf, type Vrf } from "./vrf-link.ts"

/** Takes the attachment's interface out of the VRF, and removes that if it was the last one in it. What is gone already is fine. */
export function remove(call: Call): void {
  const name = call.config.fields.get("vrfname")
  using pod = openPodIfPresent(call.environment.netns)
  if (!pod || typeof name !== "string" || ifnameProblem(name)) return
  pod.namespace?.lock()
  const vrf = readVrf(pod, name)
  if (!vrf) return
  const link = readLink(pod.rtnetlink, call.environment.ifname)
  if (link && link.master === vrf.index && isOurs(call, pod, link)) release(pod, link, vrf)
  const { links } = listLinks(pod.rtnetlink, { master: vrf.index })
  if (links.length === 0) removeLink(pod.rtnetlink, vrf.index)
}

function isOurs(call: Call, pod: NetworkStack, link: Link): boolean {
  return link.alias === attachmentAlias(attachmentOf(call)) || isOfAttachment(call, pod, link)
}

/** The interface's routes come back to the main table. That the kernel refuses one keeps no pod from going. */
function release(pod: NetworkStack, link: Link, vrf: Vrf): void {
  const routes = listOwnRoutes(pod.rtnetlink, link.index)
  try {
    moveLink(pod, link, 0, routes, { from: vrf.vrfTable, to: RT_TABLE_MAIN })
  } catch (error) {
    if (!(error instanceof KernelError) || readLink(pod.rtnetlink, link.index)?.master === vrf.index) throw error
  }
}
