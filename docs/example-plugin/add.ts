import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import { ruleComment } from "../../lib/attachment/rule-comment.ts"
import type { Result } from "../../lib/cni/result.ts"
import { explainingForeignChains } from "../../lib/net/base-chain.ts"
import { appendRule, deleteRule } from "../../lib/netlink/netfilter/rule.ts"
import { ensureChain, ensureTable } from "../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import type { DenyConfig } from "./config.ts"
import { remove } from "./remove.ts"
import { chain, listOwnRules, rulesFor, table } from "./rules.ts"

/** Adds the pod's rules. Done again, it replaces them. */
export function add({ config, attachment, host, undo }: ChainedAddContext<DenyConfig>, result: Result): Result {
  const { nfnetlink } = host
  const comment = ruleComment(attachment)
  const change = () =>
    transact(nfnetlink, () => [
      ensureTable(table),
      ensureChain(chain),
      ...listOwnRules(nfnetlink, attachment).map(({ handle }) => deleteRule(chain, handle)),
      ...rulesFor(result, config).map((expressions) => appendRule(chain, { expressions, comment })),
    ])
  undo.attempt(
    () => explainingForeignChains(nfnetlink, [chain], change),
    () => remove(host, attachment),
  )
  return result
}
