import type { Log } from "../../../lib/cni/log.ts"
import { families } from "../../../lib/ip/address.ts"
import { legacyTables } from "../../../lib/netlink/netfilter/xtables/legacy.ts"

/** Says on stderr if host ports are led elsewhere by rules that are not this plugin's to see or change. */
export function noticeLegacyRules(log: Log): void {
  if (!families.some((family) => legacyTables(family).includes("nat"))) return
  log.noticed(
    "iptables-legacy has a table nat on this node, whose rules this plugin neither sees nor changes: host ports that it leads to pods may be given to others too, and stay led there (iptables-legacy-save -t nat shows them; what made them should use iptables-nft)",
  )
}
