import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Result } from "../../lib/cni/result.ts"
import { type Address, families } from "../../lib/ip/address.ts"
import { explainingForeignChains } from "../../lib/net/base-chain.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import { CHAIN } from "./chains.ts"
import type { FirewallConfig } from "./config.ts"
import { type Wanted, wantedOf } from "./demand.ts"
import { withZone } from "./firewalld/meant.ts"
import { planIptables } from "./iptables/plan.ts"
import { filterChain } from "./iptables/rules.ts"
import { planNftables } from "./nftables/plan.ts"
import { bridgePorts, forward } from "./nftables/rules.ts"
import { noticeForward, noticeLegacy, noticeOpenBridge } from "./notices.ts"
import { type Placed, place } from "./places.ts"
import { leaveZone, removePodRules } from "./remove.ts"

const BASE_CHAINS = [...families.map((family) => filterChain(family, CHAIN.forward)), forward, bridgePorts]

/**
 * Lets the pod's traffic through the node: by rules, in one transaction, and then by firewalld, which would drop it all the same. By the rules
 * DEL and GC know later which addresses it had. Done again, it changes nothing. The result is that of the plugins before.
 */
export function add(context: ChainedAddContext<FirewallConfig>, result: Result): Result {
  const { call, config, attachment, host, undo } = context
  const wanted = wantedOf(config, result)
  noticeLegacy(call.log)
  noticeForward(host, config, wanted, call.log)
  const placed = undo.attempt(
    () => addRules(context, wanted),
    () => removePodRules(host, attachment, []),
  )
  noticeOpenBridge(host, placed, wanted, call.log)
  enterZone(
    context,
    wanted.demands.flatMap(({ addresses }) => addresses),
  )
  return result
}

/** Adds what is missing of the rules. Returns where they are. */
function addRules(
  { config, attachment, host: { nfnetlink } }: ChainedAddContext<FirewallConfig>,
  wanted: Wanted,
): Placed {
  let placed: Placed = { iptables: [], nftables: undefined }
  const plan = () => {
    placed = place(nfnetlink, config, wanted, attachment)
    const { iptables, nftables } = placed
    return [
      ...iptables.flatMap((demand) => planIptables(nfnetlink, demand, wanted, ruleKey(attachment))),
      ...(nftables ? planNftables(nfnetlink, nftables) : []),
    ]
  }
  explainingForeignChains(nfnetlink, BASE_CHAINS, () => transact(nfnetlink, plan))
  return placed
}

/** Puts the addresses into the zone of firewalld, if that is to let them through. */
function enterZone(
  { call, config, attachment, host, undo }: ChainedAddContext<FirewallConfig>,
  addresses: readonly Address[],
): void {
  const keys = new Set([ruleKey(attachment)])
  withZone(host, config, { log: call.log, mayStart: true }, (zone) => {
    for (const address of addresses) {
      undo.attempt(
        () => zone.add(address),
        () => leaveZone(host, config, call.log, { keys, addresses: [address] }),
      )
    }
  })
}
