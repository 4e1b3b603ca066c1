import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { readableResult } from "../../lib/cni/config.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { isDefault } from "../../lib/ip/prefix.ts"
import { unlessThere } from "../../lib/netlink/kernel-error.ts"
import { findLinkIndex } from "../../lib/netlink/route/link.ts"
import { type Route, RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"
import { listPolicyRules } from "../../lib/netlink/route/rule.ts"
import { copyRoute, listWholeRoutes, removeRoute } from "../../lib/netlink/route/whole-route.ts"
import { listOwnIps, readTable } from "./config.ts"
import { remove } from "./remove.ts"
import { directFirst, findRule, ownRoutes } from "./tables.ts"

/** Undoes an ADD of this process whose result could not be handed over: the interface's routes are in the main table again. */
export function takeBack(call: Call): void {
  if (readTable(call.config) === undefined) moveBack(call)
  remove(call)
}

function moveBack(call: Call): void {
  const { ifname, netns } = call.environment
  using pod = openPodIfPresent(netns)
  if (!pod) return
  const index = findLinkIndex(pod.rtnetlink, ifname)
  if (index === undefined) return
  const { rtnetlink } = pod
  const result = readableResult(call.config)
  const rules = listPolicyRules(rtnetlink)
  const routes = listWholeRoutes(rtnetlink)
  /** The default route was the interface's before if the result lists one; otherwise ADD has added it. */
  const wasInMain = ({ dst }: Route) =>
    !isDefault(dst) || result.routes.some((one) => isDefault(one.dst) && one.dst.address.family === dst.address.family)
  for (const ip of listOwnIps(result, ifname)) {
    const table = findRule(rules, ip)?.table
    if (table === undefined) continue
    const own = directFirst(ownRoutes(routes, index, table))
    for (const route of own.filter(wasInMain)) unlessThere(() => copyRoute(rtnetlink, route, RT_TABLE_MAIN))
    for (const route of own.reverse()) removeRoute(rtnetlink, route, table)
  }
}
