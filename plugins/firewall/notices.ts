import type { Log } from "../../lib/cni/log.ts"
import { families } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { readChain } from "../../lib/netlink/netfilter/ruleset.ts"
import { legacyTables } from "../../lib/netlink/netfilter/xtables/legacy.ts"
import type { FirewallConfig } from "./config.ts"

/** Says on stderr what else on the node decides about the pods' packets, and is not this plugin's to see or change. */
export function noticeWhatIsNotSeen(host: NetworkStack, config: FirewallConfig, log: Log): void {
  if (families.some((family) => legacyTables(family).includes("filter"))) {
    log.noticed(
      "iptables-legacy has a table filter on this node, whose rules this plugin neither sees nor changes: if its FORWARD chain drops, pods stay cut off (iptables-legacy-save shows it; what made it should use iptables-nft)",
    )
  }
  if (config.backend === undefined && hasFirewalld(host)) {
    log.noticed(
      'firewalld has rules of its own, which this plugin does not change: put the pods\' subnet in a zone that lets them through (firewall-cmd --permanent --zone=trusted --add-source=SUBNET, then firewall-cmd --reload) and say "backend": "iptables"',
    )
  }
  if (config.ingressPolicy === "isolated" && host.readSysctl("net/bridge/bridge-nf-call-iptables") !== "1") {
    log.noticed(
      'ingressPolicy "isolated" does not keep the pods of one bridge apart here: net.bridge.bridge-nf-call-iptables is not 1 (load br_netfilter and set it, or say "portIsolation": true to bridge)',
    )
  }
}

/** Returns true if firewalld's rules are in nf_tables, as they are unless it was told otherwise. */
function hasFirewalld({ nfnetlink }: NetworkStack): boolean {
  return readChain(nfnetlink, { table: { family: "inet", name: "firewalld" }, name: "filter_FORWARD" }) !== undefined
}
