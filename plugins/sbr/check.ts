import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { IpConfig, Result } from "../../lib/cni/result.ts"
import { type Family, formatAddress } from "../../lib/ip/address.ts"
import { formatPrefix, isDefault, networkOf, type Prefix, samePrefix } from "../../lib/ip/prefix.ts"
import { findLinkIndex } from "../../lib/netlink/route/link.ts"
import { type Route, RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"
import { isFrom, listPolicyRules, type PolicyRule } from "../../lib/netlink/route/rule.ts"
import { listWholeRoutes } from "../../lib/netlink/route/whole-route.ts"
import { requireOwnIps, type SbrConfig } from "./config.ts"
import { findRule, gatewayOf, ownRoutes } from "./tables.ts"

/** Returns if each address has its rule and its routes as ADD has made them; throws code 104 that names the first difference. */
export function check({ call, config, attachment, openPod }: ChainedCheckContext<SbrConfig>, result: Result): void {
  const { ifname } = attachment
  const ips = requireOwnIps(result, ifname)
  const { rtnetlink } = openPod()
  const only = onlyFamily(ips)
  const rules = listPolicyRules(rtnetlink, only)
  const tables = ips.map((ip) => ruledTable(rules, ip, config))
  if (config.table !== undefined) return // others fill it
  const index = findLinkIndex(rtnetlink, ifname)
  if (index === undefined) throw changed(`interface ${ifname} is gone from ${call.environment.netns}`)
  const routes = listWholeRoutes(rtnetlink, only)
  const inMain = ownRoutes(routes, index, RT_TABLE_MAIN)
  for (const [at, ip] of ips.entries()) {
    const table = tables[at] ?? 0
    const inTable = ownRoutes(routes, index, table)
    if (gatewayOf(ip, result) && !inTable.some(({ dst }) => isDefault(dst) && isOfFamily(dst, ip))) {
      throw changed(`the default route of ${ifname} is missing in table ${table}`)
    }
    const network = networkOf(ip.address)
    if (leadsTo(inMain, network) && !leadsTo(inTable, network)) {
      throw changed(`route ${formatPrefix(network)} of ${ifname} is in the main table, not in table ${table}`)
    }
  }
}

/** Returns the family that all of the addresses have, or undefined. */
function onlyFamily(ips: readonly IpConfig[]): Family | undefined {
  const [first] = ips
  return ips.some((ip) => first && !isOfFamily(ip.address, first)) ? undefined : first?.address.address.family
}

function ruledTable(rules: readonly PolicyRule[], ip: IpConfig, { table }: SbrConfig): number {
  const { address } = ip.address
  const rule = table ? rules.find((one) => one.table === table && isFrom(one, address)) : findRule(rules, ip)
  if (!rule)
    throw changed(`the rule from ${formatAddress(address)} to ${table ? `table ${table}` : "a table"} is missing`)
  return rule.table
}

function isOfFamily({ address }: Prefix, ip: IpConfig): boolean {
  return address.family === ip.address.address.family
}

function leadsTo(routes: readonly Route[], network: Prefix): boolean {
  return routes.some(({ dst }) => samePrefix(dst, network))
}
