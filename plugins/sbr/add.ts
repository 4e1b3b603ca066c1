import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import type { IpConfig, Result } from "../../lib/cni/result.ts"
import { isLinkLocal } from "../../lib/ip/address.ts"
import { defaultPrefix } from "../../lib/ip/prefix.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { Undo } from "../../lib/net/undo.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { unlessThere } from "../../lib/netlink/kernel-error.ts"
import { findLinkIndex } from "../../lib/netlink/route/link.ts"
import { createRoute, deleteRoute, RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"
import {
  createPolicyRule,
  isFrom,
  listPolicyRules,
  type PolicyRule,
  removePolicyRule,
} from "../../lib/netlink/route/rule.ts"
import { copyRoute, listWholeRoutes, removeRoute, type WholeRoute } from "../../lib/netlink/route/whole-route.ts"
import { requireOwnIps, type SbrConfig } from "./config.ts"
import { directFirst, gatewayOf, isFor, ownRoutes, type Share, shareTables } from "./tables.ts"

type Context = ChainedAddContext<SbrConfig>

/** Has packets from each address of the interface routed by a table of its own. Done again, it completes what is missing. */
export function add(context: Context, result: Result): Result {
  const { config, attachment, openPod, undo } = context
  const ips = requireOwnIps(result, attachment.ifname)
  const pod = openPod()
  pod.namespace?.lock() // sbr of another interface must not take the same table
  const rules = listPolicyRules(pod.rtnetlink)
  if (config.table === undefined) moveRoutes(context, ips, rules, result)
  else leadTo(pod.rtnetlink, ips, rules, config.table, undo)
  return result
}

/** Leads the addresses to a table that others fill. */
function leadTo(
  rtnetlink: Conversation,
  ips: readonly IpConfig[],
  rules: readonly PolicyRule[],
  table: number,
  undo: Undo,
): void {
  for (const ip of ips) {
    const isThere = rules.some((rule) => rule.table === table && isFrom(rule, ip.address.address))
    if (!isThere) addRule(rtnetlink, ip, table, undo)
  }
}

function addRule(rtnetlink: Conversation, { address: { address } }: IpConfig, table: number, undo: Undo): void {
  undo.attempt(
    () => createPolicyRule(rtnetlink, address, table),
    () => removePolicyRule(rtnetlink, address, table),
  )
}

/** Moves the interface's routes to the tables of its addresses. At no time an address is without its routes. */
function moveRoutes(context: Context, ips: readonly IpConfig[], rules: readonly PolicyRule[], result: Result): void {
  const { call, attachment, openPod, undo } = context
  const { rtnetlink } = openPod()
  const index = findLinkIndex(rtnetlink, attachment.ifname)
  if (index === undefined) {
    const advice = "sbr has to stand behind the plugin that makes the interface"
    throw new Conflict(`there is no interface ${attachment.ifname} in ${call.environment.netns}`, advice)
  }
  const routes = listWholeRoutes(rtnetlink)
  const own = directFirst(ownRoutes(routes, index, RT_TABLE_MAIN))
  const shares = shareTables(ips, rules, routes, index)
  for (const share of shares) {
    const chosen = own.filter((route) => isFor(route, share.ip, ips))
    fillTable(rtnetlink, share, chosen, undo)
    addDefaultRoute(rtnetlink, index, share, result, undo)
  }
  for (const { ip, table, ruled } of shares) if (!ruled) addRule(rtnetlink, ip, table, undo)
  // Link-local addresses have no rule: packets from them need the main table.
  for (const route of own.reverse()) if (!isLinkLocal(route.dst.address)) takeFromMain(rtnetlink, route, undo)
}

function fillTable(rtnetlink: Conversation, { table }: Share, routes: readonly WholeRoute[], undo: Undo): void {
  for (const route of routes) {
    unlessThere(() =>
      undo.attempt(
        () => copyRoute(rtnetlink, route, table),
        () => removeRoute(rtnetlink, route, table),
      ),
    )
  }
}

/** Adds a default route by the address's gateway, unless the interface had one of its own. */
function addDefaultRoute(rtnetlink: Conversation, index: number, share: Share, result: Result, undo: Undo): void {
  const { ip, table } = share
  const gateway = gatewayOf(ip, result)
  if (!gateway) return
  const dst = defaultPrefix(ip.address.address.family)
  unlessThere(() =>
    undo.attempt(
      () => createRoute(rtnetlink, index, { dst, gateway, table }),
      () => deleteRoute(rtnetlink, index, { dst, gateway, table }),
    ),
  )
}

function takeFromMain(rtnetlink: Conversation, route: WholeRoute, undo: Undo): void {
  undo.attempt(
    () => removeRoute(rtnetlink, route, RT_TABLE_MAIN),
    () => copyRoute(rtnetlink, route, RT_TABLE_MAIN),
  )
}
