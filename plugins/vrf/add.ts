import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { type Link, readLink } from "../../lib/netlink/route/link.ts"
import { RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"
import type { VrfConfig } from "./config.ts"
import { listOwnRoutes, moveLink } from "./routes.ts"
import { ensureVrf } from "./vrf-link.ts"

/** Makes the interface a port of the VRF. Its routes of the main table are in the VRF's then. */
export function add({ call, config, attachment, openPod, undo }: ChainedAddContext<VrfConfig>, result: Result): Result {
  const pod = openPod()
  pod.namespace?.lock() // vrf of another interface must not take the same table, nor remove the VRF
  const { rtnetlink } = pod
  const link = readLink(rtnetlink, attachment.ifname)
  if (!link) {
    const advice = "vrf has to stand behind the plugin that makes the interface"
    throw new Conflict(`there is no interface ${attachment.ifname} in ${call.environment.netns}`, advice)
  }
  refuseMaster(rtnetlink, link)
  const vrf = ensureVrf(pod, config, undo)
  const routes = listOwnRoutes(rtnetlink, link.index)
  undo.add(() => moveLink(pod, link, 0, routes, { from: RT_TABLE_MAIN, to: RT_TABLE_MAIN }))
  moveLink(pod, link, vrf.index, routes, { from: RT_TABLE_MAIN, to: vrf.vrfTable })
  return result
}

function refuseMaster(rtnetlink: Conversation, { name, master }: Link): void {
  if (master === 0) return
  const other = readLink(rtnetlink, master)?.name ?? `link ${master}`
  throw new Conflict(
    `interface ${name} has already a master set: ${other}`,
    `DEL the attachment first, or take it from ${other}`,
  )
}
