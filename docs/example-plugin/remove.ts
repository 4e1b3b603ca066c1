import { readLivingAttachments } from "../../lib/attachment/living.ts"
import { keyIn, networkRuleKey, ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { deleteRule, type FoundRule, listRules } from "../../lib/netlink/netfilter/rule.ts"
import { cleanUp } from "../../lib/netlink/netfilter/transaction.ts"
import { chain, listOwnRules } from "./rules.ts"

/** Removes the attachment's rules; none is fine. */
export function remove({ nfnetlink }: NetworkStack, attachment: Attachment): void {
  cleanUp(nfnetlink, () => listOwnRules(nfnetlink, attachment).map(({ handle }) => deleteRule(chain, handle)))
}

/** Removes the network's rules that are of no attachment that survives, or if nobody says which do, of those that are certainly gone. */
export function collect(host: NetworkStack, { config, log }: Call, { attachments, reason }: Survivors): void {
  let stale: FoundRule[] = []
  cleanUp(host.nfnetlink, () => {
    const rules = listRules(host.nfnetlink, chain, networkRuleKey(config.name))
    const living = attachments ?? readLivingAttachments(host) // after the rules, of which each is younger than its pod's veth
    const kept = living && new Set(living.map(ruleKey))
    stale = rules.filter(({ comment = "" }) => kept && !kept.has(keyIn(comment)))
    return stale.map(({ handle }) => deleteRule(chain, handle))
  })
  for (const { comment = "" } of stale) log.removed(`a rule (${JSON.stringify(comment)})`, reason)
}
