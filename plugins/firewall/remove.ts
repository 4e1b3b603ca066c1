import { readLiveAddresses } from "../../lib/attachment/live-addresses.ts"
import { readLivingAttachments } from "../../lib/attachment/living.ts"
import { networkRuleKey, ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { readableResult } from "../../lib/cni/config.ts"
import { toCniError } from "../../lib/cni/error-document.ts"
import type { Log } from "../../lib/cni/log.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import { type Address, formatAddress } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { cleanUp } from "../../lib/netlink/netfilter/transaction.ts"
import { formatIptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import { type FirewallConfig, readablePlaces } from "./config.ts"
import { withZone } from "./firewalld/meant.ts"
import { NotRunning } from "./firewalld/zone.ts"
import { podRules } from "./iptables/rules.ts"
import { listPodRules, type PodRule } from "./pod-rules.ts"

/** Removes the attachment's rules, and its addresses from firewalld; of what does not say whose it is, as the Go plugin's, by the result. */
export function remove(host: NetworkStack, attachment: Attachment, { config, log }: Call): void {
  const addresses = readableResult(config).ips.map(({ address }) => address.address)
  leaveZone(host, readablePlaces(config), log, { keys: new Set([ruleKey(attachment)]), addresses })
  removePodRules(host, attachment, addresses)
}

/** Removes the rules that are the attachment's, and of those that do not say whose they are the rules for these addresses. */
export function removePodRules(
  { nfnetlink }: NetworkStack,
  attachment: Attachment,
  addresses: readonly Address[],
): void {
  const key = ruleKey(attachment)
  const texts = addresses.flatMap(podRules).map(formatIptablesRule)
  const isOwn = (rule: PodRule) =>
    rule.key === key || (rule.key === undefined && texts.length > 0 && texts.includes(rule.text() ?? ""))
  cleanUp(nfnetlink, () =>
    listPodRules(nfnetlink, key)
      .filter(isOwn)
      .map(({ removal }) => removal),
  )
}

/** Removes what is stale of the network. Rules of the Go plugin do not say whose they are, and stay. */
export function collect(host: NetworkStack, { config, log }: Call, { attachments, reason }: Survivors): void {
  const { nfnetlink } = host
  const list = () => listPodRules(nfnetlink, networkRuleKey(config.name)).filter(({ key }) => key !== undefined)
  const stale = new Set(
    listed(nfnetlink, () => (attachments ? outside(list(), attachments) : gone(list(), host))).map(({ key }) => key),
  )
  if (stale.size === 0) return
  leaveZone(host, readablePlaces(config), log, { keys: stale, addresses: [] })
  let removed: PodRule[] = []
  cleanUp(nfnetlink, () => {
    removed = list().filter(({ key }) => stale.has(key))
    return removed.map(({ removal }) => removal)
  })
  for (const rule of removed) log.removed(rule.words(), reason)
}

/** Returns what `list` does, which may throw as listRules(); nothing if the kernel has no nf_tables. */
function listed(nfnetlink: Conversation, list: () => PodRule[]): PodRule[] {
  let found: PodRule[] = []
  cleanUp(nfnetlink, () => {
    found = list()
    return []
  })
  return found
}

function outside(rules: readonly PodRule[], attachments: readonly Attachment[]): PodRule[] {
  const kept = new Set<string | undefined>(attachments.map(ruleKey))
  return rules.filter(({ key }) => !kept.has(key))
}

/** Returns those whose pod has neither a veth of ours nor an address in any network namespace: not every pod hangs on a veth. */
function gone(rules: readonly PodRule[], host: NetworkStack): PodRule[] {
  // Read after the rules: a pod's interface is made before its rules, so none is missed.
  const living = readLivingAttachments(host)
  const unknown = living ? outside(rules, living) : []
  const addresses = unknown.length > 0 ? readLiveAddresses() : undefined
  if (!addresses) return []
  const dead = new Set<string | undefined>()
  const alive = new Set<string | undefined>()
  for (const rule of unknown) {
    const address = rule.address()
    if (address) (addresses.has(formatAddress(address)) ? alive : dead).add(rule.key)
  }
  return unknown.filter(({ key }) => dead.has(key) && !alive.has(key))
}

/** Attachments that go, by the keys of their rules, and addresses that one of them has by what else is known. */
interface Leaving {
  readonly keys: ReadonlySet<string | undefined>
  readonly addresses: readonly Address[]
}

/**
 * Takes addresses of attachments that go out of firewalld's zone, unless the rules of another one are for the same address. Nothing that
 * firewalld says, or does not say, keeps the attachment from going: it is noticed.
 */
export function leaveZone(
  host: NetworkStack,
  places: Pick<FirewallConfig, "backend" | "zone">,
  log: Log,
  { keys, addresses }: Leaving,
): void {
  try {
    withZone(host, places, {}, (zone) => {
      const rules = listed(host.nfnetlink, () => listPodRules(host.nfnetlink, ""))
      const sources = (of: readonly PodRule[]) => of.flatMap((rule) => rule.address() ?? [])
      const staying = rules.filter(({ key }) => key !== undefined && !keys.has(key))
      const kept = new Set(sources(staying).map(formatAddress))
      const going = [...addresses, ...sources(rules.filter(({ key }) => keys.has(key)))]
      const texts = new Map(going.map((address) => [formatAddress(address), address]))
      for (const [text, address] of texts) if (!kept.has(text)) zone.remove(address)
    })
  } catch (error) {
    if (error instanceof NotRunning) return // and has forgotten all addresses
    const { message } = toCniError(error)
    log.noticed(
      `${message}: addresses of pods that are gone may stay in zone ${places.zone} until firewall-cmd --reload`,
    )
  }
}
