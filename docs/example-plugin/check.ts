import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { isAmong } from "../../lib/netlink/netfilter/expression.ts"
import { formatChain } from "../../lib/netlink/netfilter/ruleset.ts"
import { retried } from "../../lib/netlink/netfilter/transaction.ts"
import type { DenyConfig } from "./config.ts"
import { chain, listOwnRules, rulesFor } from "./rules.ts"

/** Returns if every rule that ADD made is there; throws code 104 if one is not. */
export function check({ config, attachment, host }: ChainedCheckContext<DenyConfig>, result: Result): void {
  const found = retried(() => listOwnRules(host.nfnetlink, attachment))
  for (const wanted of rulesFor(result, config)) {
    if (!isAmong(found, wanted)) throw changed(`a rule of the pod is missing in ${formatChain(chain)}`)
  }
}
