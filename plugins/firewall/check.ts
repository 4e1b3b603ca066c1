import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { retried } from "../../lib/netlink/netfilter/transaction.ts"
import type { FirewallConfig } from "./config.ts"
import { type Wanted, wantedOf } from "./demand.ts"
import { withZone } from "./firewalld/meant.ts"
import { sourceOf } from "./firewalld/zone.ts"
import { iptablesDifference } from "./iptables/difference.ts"
import { nftablesDifference } from "./nftables/plan.ts"
import { place, readForwardPolicy } from "./places.ts"
import { listPodRules } from "./pod-rules.ts"

const ADVICE =
  "if something emptied the chains, as a firewall does that is loaded anew, an ADD for any pod brings the shared rules back and one for this pod its own"

const ADVICE_ON_ZONE = "firewalld forgets it when it is loaded anew: an ADD for this pod brings it back"

/** Returns if packets get through by what ADD made; throws naming the first difference. */
export function check(context: ChainedCheckContext<FirewallConfig>, result: Result): void {
  const { attachment, config, host } = context
  const wanted = wantedOf(config, result)
  let isInZone = false
  withZone(host, config, {}, (zone) => {
    isInZone = true
    for (const address of wanted.demands.flatMap(({ addresses }) => addresses)) {
      if (!zone.has(address))
        throw changed(`${sourceOf(address)} is not in zone ${zone.name} of firewalld`, ADVICE_ON_ZONE)
    }
  })
  const { nfnetlink } = host
  // The Go plugin makes no rules beside firewalld's.
  if (isInZone && listPodRules(nfnetlink, ruleKey(attachment)).every(({ key }) => key === undefined)) return
  const difference = retried(() => findDifference(context, wanted))
  if (difference) throw changed(difference, ADVICE)
}

function findDifference(
  { config, attachment, host: { nfnetlink } }: ChainedCheckContext<FirewallConfig>,
  wanted: Wanted,
): string | undefined {
  const { iptables, nftables } = place(nfnetlink, config, wanted, attachment)
  for (const demand of iptables) {
    const difference = iptablesDifference(nfnetlink, demand, wanted, ruleKey(attachment))
    if (!difference) continue
    // Rules that came to FORWARD after the pod need not drop its packets.
    const mayPass = nftables && readForwardPolicy(nfnetlink, demand.family) === "accept"
    if (!mayPass || nftablesDifference(nfnetlink, { ...nftables, addresses: demand.addresses })) return difference
  }
  // Without addresses it has nothing that iptables' rules, which the Go plugin may have made, do not have too.
  return nftables && nftables.addresses.length > 0 ? nftablesDifference(nfnetlink, nftables) : undefined
}
