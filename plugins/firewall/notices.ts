import type { Log } from "../../lib/cni/log.ts"
import { families } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { formatChain } from "../../lib/netlink/netfilter/ruleset.ts"
import { legacyTables } from "../../lib/netlink/netfilter/xtables/legacy.ts"
import { CHAIN } from "./chains.ts"
import type { FirewallConfig } from "./config.ts"
import type { Wanted } from "./demand.ts"
import { filterChain } from "./iptables/rules.ts"
import { forwardMayDrop, type Placed } from "./places.ts"

/** Says on stderr if iptables-legacy decides about packets, whose rules are not this plugin's to see or change. */
export function noticeLegacy(log: Log): void {
  if (!families.some((family) => legacyTables(family).includes("filter"))) return
  log.noticed(
    "iptables-legacy has a table filter on this node, whose rules this plugin neither sees nor changes: if its FORWARD chain drops, pods stay cut off (iptables-legacy-save shows it; what made it should use iptables-nft)",
  )
}

/** Says on stderr if the bridge's policy is to be `isolated`, and packets from one of its ports to another pass no rule. */
export function noticeOpenBridge(
  host: NetworkStack,
  { iptables, nftables }: Placed,
  { policy }: Wanted,
  log: Log,
): void {
  if (policy?.name !== "isolated") return
  const seesPorts = nftables !== undefined && nftables.addresses.length > 0 && policy.ports.length > 0
  if (seesPorts || host.readSysctl("net/bridge/bridge-nf-call-iptables") === "1") return
  const reason = iptables.length > 0 ? "" : ", and no port of the pod is in prevResult"
  log.noticed(
    `ingressPolicy "isolated" does not keep the pods of one bridge apart here: net.bridge.bridge-nf-call-iptables is not 1${reason} (load br_netfilter and set it, or say "portIsolation": true to bridge)`,
  )
}

/** Says on stderr if rules in a table of our own do not help, as a chain of iptables may drop the same packets. */
export function noticeForward(host: NetworkStack, { backend }: FirewallConfig, { demands }: Wanted, log: Log): void {
  if (backend !== "nftables") return
  for (const { family } of demands) {
    if (!forwardMayDrop(host.nfnetlink, family)) continue
    const chain = formatChain(filterChain(family, CHAIN.forward))
    log.noticed(`${chain} may drop packets of the pod, which no rule elsewhere prevents: leave out "backend"`)
  }
}
