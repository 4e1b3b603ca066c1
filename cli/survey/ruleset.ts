import type { Family } from "../../lib/ip/address.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import type { NetfilterFamily } from "../../lib/netlink/netfilter/nfnetlink.ts"
import { type FoundRule, readTableRules } from "../../lib/netlink/netfilter/rule.ts"
import {
  type BaseChain,
  type Chain,
  formatTable,
  listBaseChains,
  type Table,
} from "../../lib/netlink/netfilter/ruleset.ts"
import { type FoundElement, listElements } from "../../lib/netlink/netfilter/set.ts"
import { retried } from "../../lib/netlink/netfilter/transaction.ts"
import { Shares } from "./shares.ts"

/** Returns the container that a rule is of, by what it says or by the address that it is about alone; undefined for a rule of nobody's. */
type OwnerOf = (rule: FoundRule, family: NetfilterFamily) => string | undefined

/** The rules of nf_tables that a node has, whoever made them: those of iptables-nft among them, of iptables-legacy not. */
export class Ruleset {
  /** Those that the kernel calls, of tables for IP, in the order of their priorities. */
  readonly baseChains: readonly Chain[]
  readonly #nfnetlink: Conversation
  readonly #ownerOf: OwnerOf
  readonly #tables = new Map<string, ReadonlyMap<string, readonly FoundRule[]>>()
  readonly #shares = new Map<string, Shares<FoundRule>>()
  readonly #atHooks = new Map<string, readonly Chain[]>()
  readonly #sets = new Map<string, readonly FoundElement[]>()

  /** Asks what remembers its answers, and decodes a rule once. Throws KernelError. */
  constructor(nfnetlink: Conversation, ownerOf: OwnerOf) {
    this.#nfnetlink = nfnetlink
    this.#ownerOf = ownerOf
    this.baseChains = listBaseChains(nfnetlink).sort((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0))
  }

  /** Returns the chains that the kernel calls for packets of the family at the hook, in order. */
  chainsAt(hook: BaseChain["hook"], family: Family): readonly Chain[] {
    const key = `${hook} ${family}`
    const families = ["inet", family === 4 ? "ip" : "ip6"]
    const known =
      this.#atHooks.get(key) ??
      this.baseChains.filter(({ base, table }) => base?.hook === hook && families.includes(table.family))
    this.#atHooks.set(key, known)
    return known
  }

  /** Returns the chain's rules in order. Throws KernelError. */
  rulesOf({ table, name }: Pick<Chain, "table" | "name">): readonly FoundRule[] {
    const key = formatTable(table)
    const known = this.#tables.get(key) ?? this.#readTable(table)
    this.#tables.set(key, known)
    return known.get(name) ?? []
  }

  /** Returns those of the chain's rules, in order, that can be about a container: its own and those of nobody. Throws KernelError. */
  rulesFor(chain: Pick<Chain, "table" | "name">, containerId: string): readonly FoundRule[] {
    const key = `${chain.name} ${formatTable(chain.table)}`
    const known =
      this.#shares.get(key) ?? new Shares(this.rulesOf(chain), (rule) => this.#ownerOf(rule, chain.table.family))
    this.#shares.set(key, known)
    return known.of(containerId)
  }

  #readTable(table: Table): ReadonlyMap<string, readonly FoundRule[]> {
    const chains = new Map<string, FoundRule[]>()
    const keep = (rule: FoundRule) => {
      const chain = chains.get(rule.chain)
      if (chain) chain.push(rule)
      else chains.set(rule.chain, [rule])
      return undefined
    }
    retried(() => {
      chains.clear()
      return readTableRules(this.#nfnetlink, table, keep)
    })
    return chains
  }

  /** Returns the elements of a set or map. Throws KernelError. */
  elementsOf(table: Table, name: string): readonly FoundElement[] {
    const key = `${name} ${formatTable(table)}`
    const known = this.#sets.get(key) ?? listElements(this.#nfnetlink, table, name)
    this.#sets.set(key, known)
    return known
  }
}
