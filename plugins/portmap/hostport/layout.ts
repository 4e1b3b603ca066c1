import type { Family } from "../../../lib/ip/address.ts"
import { describeBase } from "../../../lib/net/base-chain.ts"
import { Conflict } from "../../../lib/net/conflict.ts"
import type { Conversation, Request } from "../../../lib/netlink/conversation.ts"
import type { Step } from "../../../lib/netlink/netfilter/expression.ts"
import { toThisHost, transfer } from "../../../lib/netlink/netfilter/phrase.ts"
import {
  appendRule,
  type FoundRule,
  flushChain,
  listRules,
  placed,
  type Rule,
} from "../../../lib/netlink/netfilter/rule.ts"
import {
  type BaseChain,
  type Chain,
  ensureChain,
  ensureTable,
  formatChain,
  readChain,
  type Table,
} from "../../../lib/netlink/netfilter/ruleset.ts"
import { ensureSet, type NamedSet, placedSet } from "../../../lib/netlink/netfilter/set.ts"
import { sameBytes } from "../../../lib/sys/bytes.ts"
import { SHARED_DATA } from "./rule-tag.ts"

/** One family's table, laid out as the Go plugin's: table, chains and hooks have its names, order and priorities. */
export interface Layout {
  readonly family: Family
  readonly table: Table
  /** Leads packets to pods. */
  readonly hostports: Chain
  /** Did so for packets to one address of the node, in Go plugins before 1.9. */
  readonly hostIpHostports: Chain
  /** Gives packets the node's address as their source. */
  readonly masquerading: Chain
  /** The ports that pods have rules for. */
  readonly claims: NamedSet
  /** The containers that have rules. */
  readonly containers: NamedSet
  readonly shared: readonly SharedChain[]
}

/** A chain whose rules do not depend on the pods. */
interface SharedChain {
  readonly chain: Chain
  /** The names of the chains that its rules lead to, one each. */
  readonly targets: readonly string[]
  readonly rules: readonly Rule[]
}

const nat = (hook: BaseChain["hook"], priority: number): BaseChain => ({
  type: "nat",
  hook,
  priority,
  policy: "accept",
})

function sharedChain(chain: Chain, targets: readonly Chain[], conditions: readonly Step[] = []): SharedChain {
  const names = targets.map(({ name }) => name)
  const rules = names.map((name) => ({ expressions: [...conditions, transfer("jump", name)], userData: SHARED_DATA }))
  return { chain: placed(chain), targets: names, rules }
}

const layouts = { 4: makeLayout(4), 6: makeLayout(6) }

export function layoutOf(family: Family): Layout {
  return layouts[family]
}

function makeLayout(family: Family): Layout {
  const table: Table = { family: family === 4 ? "ip" : "ip6", name: "cni_hostport", comment: "CNI portmap plugin" }
  const hostports = placed({ table, name: "hostports" })
  const hostIpHostports = { table, name: "hostip_hostports" }
  const all = { table, name: "hostports_all" }
  return {
    family,
    table,
    hostports,
    hostIpHostports,
    masquerading: placed({ table, name: "masquerading", base: nat("postrouting", 100) }),
    claims: placedSet({ table, name: "claims", type: "inet_proto . inet_service" }),
    containers: placedSet({ table, name: "containers", type: "ifname" }),
    shared: [
      sharedChain(all, [hostIpHostports, hostports]),
      sharedChain({ table, name: "prerouting", base: nat("prerouting", -100) }, [all], toThisHost()),
      sharedChain({ table, name: "output", base: nat("output", -100) }, [all], toThisHost()),
    ],
  }
}

/** Returns true if all shared rules are there, as we write them. */
export function isIntact(nfnetlink: Conversation, { shared }: Layout): boolean {
  return shared.every((part) => areOurs(part, listRules(nfnetlink, part.chain)))
}

/**
 * Returns true if the sets list the claims of all rules. The Go plugin knows no sets, and writes its own shared rules at every ADD: if ours
 * are still there, it has added no rule since.
 */
export function areClaimsComplete(nfnetlink: Conversation, layout: Layout): boolean {
  return lastWriting(nfnetlink, layout) !== undefined
}

/**
 * Returns the handle of the youngest of the first shared rules, or undefined if areClaimsComplete() is false. Handles grow. The Go plugin writes
 * these rules at every ADD, and earlier builds did whenever they found that a container has rules already: so what is younger was made when
 * nobody else had been there.
 */
export function lastWriting(
  nfnetlink: Conversation,
  { shared: [first] }: Layout,
  read = sharedReader(nfnetlink),
): bigint | undefined {
  return first && areOurs(first, read(first)) ? read(first).at(-1)?.handle : undefined
}

/** Reads the rules of shared chains, of each once. */
export function sharedReader(nfnetlink: Conversation): (part: SharedChain) => readonly FoundRule[] {
  const known = new Map<SharedChain, readonly FoundRule[]>()
  return (part) => {
    const found = known.get(part) ?? listRules(nfnetlink, part.chain)
    known.set(part, found)
    return found
  }
}

/** Returns true if the rules of the chain are as many as we write, and ours. */
function areOurs({ rules }: SharedChain, found: readonly FoundRule[]): boolean {
  return found.length === rules.length && found.every(({ userData }) => sameBytes(userData, SHARED_DATA))
}

/** Plans to make the chains and sets that the pods' rules need, and to write the shared rules anew unless they are there. */
export function planLayout(nfnetlink: Conversation, layout: Layout, masquerades: boolean): Request[] {
  const { table, hostports, hostIpHostports, masquerading, claims, containers, shared } = layout
  const changes = [ensureTable(table), ensureChain(hostports), ensureChain(hostIpHostports)]
  for (const { chain, rules } of isIntact(nfnetlink, layout) ? [] : shared) {
    changes.push(ensureChain(chain), flushChain(chain))
    for (const rule of rules) changes.push(appendRule(chain, rule))
  }
  if (masquerades) changes.push(ensureChain(masquerading))
  changes.push(ensureSet(claims), ensureSet(containers))
  return changes
}

/** Throws Conflict if a chain of ours has another hook: the table is another program's. */
export function refuseForeign(nfnetlink: Conversation, layout: Layout): void {
  const { hostports, hostIpHostports, masquerading, shared } = layout
  for (const wanted of [hostports, hostIpHostports, masquerading, ...shared.map(({ chain }) => chain)]) {
    const found = readChain(nfnetlink, wanted)
    if (!found || sameHook(found.base, wanted.base)) continue
    throw new Conflict(
      `${formatChain(wanted)} is not the one that leads host ports to pods: it is ${describeBase(found)}, not ${describeBase(wanted)}`,
      "another program has a table of that name; it has to be renamed or deleted",
    )
  }
}

function sameHook(a: BaseChain | undefined, b: BaseChain | undefined): boolean {
  return a?.type === b?.type && a?.hook === b?.hook && a?.priority === b?.priority
}
