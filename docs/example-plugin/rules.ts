import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import type { Result } from "../../lib/cni/result.ts"
import { hostPrefix } from "../../lib/ip/prefix.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import type { Step } from "../../lib/netlink/netfilter/expression.ts"
import { destination, ofFamily, source, verdict } from "../../lib/netlink/netfilter/phrase.ts"
import { type FoundRule, listRules } from "../../lib/netlink/netfilter/rule.ts"
import type { Chain, Table } from "../../lib/netlink/netfilter/ruleset.ts"
import type { DenyConfig } from "./config.ts"

export const table: Table = { family: "inet", name: "cni_ts_deny" }

/** The chain of all pods' rules, behind destination NAT: an address counts if packets really go there. */
export const chain: Chain = {
  table,
  name: "prerouting",
  base: { type: "filter", hook: "prerouting", priority: 0, policy: "accept" },
}

/** Returns the rules for the pod's addresses: one for each network of the same family. */
export function rulesFor({ ips }: Result, { to }: DenyConfig): Step[][] {
  return ips.flatMap(({ address: { address } }) =>
    to
      .filter((network) => network.address.family === address.family)
      .map((network) => [
        ...ofFamily(address.family),
        ...source(hostPrefix(address)),
        ...destination(network),
        verdict("drop"),
      ]),
  )
}

/** Lists the attachment's rules: their comments begin with a key that is computed from it. */
export function listOwnRules(nfnetlink: Conversation, attachment: Attachment): FoundRule[] {
  return listRules(nfnetlink, chain, ruleKey(attachment))
}
