import { keyIn } from "../../lib/attachment/rule-comment.ts"
import { type Address, families } from "../../lib/ip/address.ts"
import { deleteListed, describeRule, type ListedRule, listIptablesRules } from "../../lib/net/iptables.ts"
import type { Conversation, Request } from "../../lib/netlink/conversation.ts"
import { deleteRule, type FoundRule, listRules } from "../../lib/netlink/netfilter/rule.ts"
import type { Chain } from "../../lib/netlink/netfilter/ruleset.ts"
import { CHAIN } from "./chains.ts"
import { filterChain } from "./iptables/rules.ts"
import { addressIn, bridgePorts, pods } from "./nftables/rules.ts"

/** A rule of a pod, in whichever table. */
export interface PodRule {
  /** The attachment's; undefined if the rule does not say whose it is, as those of the Go plugin. */
  readonly key: string | undefined
  /** Decodes the address that it is for. */
  readonly address: () => Address | undefined
  /** Decodes what it says in iptables' words; undefined if it is none of iptables, or of others. */
  readonly text: () => string | undefined
  /** Describes the rule for messages. */
  readonly words: () => string
  readonly removal: Request
}

/** Returns the rules, wherever they may be, whose keys begin with `key`, and those of iptables without a key. Throws as listRules(). */
export function listPodRules(nfnetlink: Conversation, key: string): PodRule[] {
  const list = (chain: Chain) => listRules(nfnetlink, chain, key).map((rule) => ofNftables(chain, rule))
  const inTableOfOurs = list(pods)
  return [
    ...families.flatMap((family) => listIptablesRules(nfnetlink, filterChain(family, CHAIN.pods), key).map(ofIptables)),
    ...inTableOfOurs,
    ...(inTableOfOurs.length > 0 ? list(bridgePorts) : []), // an ADD makes them in one transaction
  ]
}

function ofIptables(rule: ListedRule): PodRule {
  const { chain, note } = rule
  return {
    key: note,
    address: () => {
      const { source, destination } = rule.read() ?? {}
      return (source ?? destination)?.address
    },
    text: rule.text,
    words: () => describeRule(chain, rule.text() ?? ""),
    removal: deleteListed(rule),
  }
}

function ofNftables(chain: Chain, rule: FoundRule): PodRule {
  const { handle, comment = "" } = rule
  return {
    key: keyIn(comment),
    address: () => addressIn(rule.expressions()),
    text: () => undefined,
    words: () => `a rule (${JSON.stringify(comment)})`,
    removal: deleteRule(chain, handle),
  }
}
