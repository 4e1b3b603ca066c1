import type { Attachment } from "../../../lib/cni/attachment.ts"
import { CniError, code } from "../../../lib/cni/errors.ts"
import { type Family, families } from "../../../lib/ip/address.ts"
import { explainingForeignChains } from "../../../lib/net/base-chain.ts"
import { deleteListed, listIptablesRules, type PlacedRule, placeRule, planMissing } from "../../../lib/net/iptables.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import { type Chain, ensureChain, ensureTable, formatChain, readChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../../lib/netlink/netfilter/transaction.ts"
import { formatIptablesRule, type IptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import type { PortmapConfig } from "../config.ts"
import { concatenated } from "../hostport/hostports.ts"
import type { PodMappings } from "../pod-mappings.ts"
import { CHAIN, markRules, natChain, noteOf, podChain, waysIn } from "./chains.ts"
import { planTakeover } from "./claimants.ts"
import { chainRules, entryRules } from "./pod-rules.ts"
import { type ChainRule, listOwnEntries, listOwnRules } from "./pods.ts"
import { planPodRemoval } from "./remove.ts"

/**
 * Leads host ports to a pod by the rules of the Go plugin's iptables backend, in one transaction for both families, and replaces all rules
 * that the attachment had, of either backend. Throws Conflict if another pod has one of the ports.
 */
export function ensureIptablesHostports(
  host: NetworkStack,
  attachment: Attachment,
  config: PortmapConfig,
  wanted: readonly PodMappings[],
): void {
  const { nfnetlink } = host
  const others = families.filter((family) => wanted.every((pod) => pod.family !== family))
  const plan = () =>
    concatenated([
      ...wanted.flatMap((pod) => planTakeover(host, attachment, pod)),
      ...wanted.flatMap((pod) => planPod(nfnetlink, attachment, config, pod)),
      ...others.map((family) => planPodRemoval(nfnetlink, family, attachment).changes),
    ])
  const bases = wanted.flatMap(({ family }) =>
    ["PREROUTING", "OUTPUT", "POSTROUTING"].map((at) => natChain(family, at)),
  )
  explainingForeignChains(nfnetlink, bases, () => transact(nfnetlink, plan))
}

/** Plans what is missing of the shared rules, and the pod's own. */
function planPod(
  nfnetlink: Conversation,
  attachment: Attachment,
  config: PortmapConfig,
  pod: PodMappings,
): Iterable<Request>[] {
  const { family } = pod
  const shared = sharedRules(config, family)
  const chain = podChain(family, attachment)
  const dnat = natChain(family, CHAIN.dnat)
  refuseMissingMarkChain(nfnetlink, config, family)
  const sharedChains = distinct(shared.map((placed) => placed.chain))
  const found = sharedChains.flatMap((each) => listIptablesRules(nfnetlink, each, ""))
  const note = noteOf(attachment)
  const entries = listOwnEntries(nfnetlink, family, chain.name, note).map((rule) => ({ ...rule, text: rule.text() }))
  const own = listOwnRules(nfnetlink, chain, note)
  const missing = planMissing(found, shared)
  // Chains that are there are not asked for: the process would end 10 ms later.
  const made = [...(missing.length > 0 ? [...sharedChains, dnat] : []), ...(own.length === 0 ? [chain] : [])]
  return [
    [ensureTable(chain.table), ...made.map(ensureChain)],
    missing,
    planOwn(chain, own, note, () => chainRules(config, pod)),
    planOwn(dnat, entries, note, () => entryRules(config, attachment, family)),
  ]
}

/** Returns the rules that the pod needs and shares with others. */
export function sharedRules({ snat, iptables }: PortmapConfig, family: Family): readonly PlacedRule[] {
  const marks = snat && iptables.markChain === undefined ? markRules(family, iptables.markBit) : []
  return [...marks, ...waysIn(family)]
}

function distinct(chains: readonly Chain[]): Chain[] {
  return [...new Map(chains.map((chain) => [chain.name, chain])).values()]
}

/** Plans that the rules of the attachment are these, once, in their order and with its note: what the Go plugin made becomes its own. */
function planOwn(
  chain: Chain,
  found: readonly ChainRule[],
  note: string,
  wanted: () => Iterable<IptablesRule>,
): Iterable<Request> {
  if (isWhole(found, note, wanted())) return []
  return concatenated([found.map(deleteListed), placed(chain, note, wanted())])
}

function isWhole(found: readonly ChainRule[], note: string, wanted: Iterable<IptablesRule>): boolean {
  let at = 0
  for (const rule of wanted) {
    const there = found[at++]
    if (there?.note !== note || there.text !== formatIptablesRule(rule)) return false
  }
  return at === found.length
}

function* placed(chain: Chain, note: string, rules: Iterable<IptablesRule>): Generator<Request> {
  for (const rule of rules) yield placeRule({ chain, rule }, note)
}

/** Throws code 11 if the chain of others that is to mark packets is not there. */
function refuseMissingMarkChain(nfnetlink: Conversation, { snat, iptables }: PortmapConfig, family: Family): void {
  if (!snat || iptables.markChain === undefined) return
  const chain = natChain(family, iptables.markChain)
  if (readChain(nfnetlink, chain)) return
  throw new CniError(
    code.tryAgainLater,
    `there is no ${formatChain(chain)}, which externalSetMarkChain names`,
    "what makes it, as kube-proxy makes KUBE-MARK-MASQ by iptables, has to run first; or take externalSetMarkChain out",
  )
}
