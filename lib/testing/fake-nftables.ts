import { attributeSet, be32 } from "../netlink/attribute.ts"
import type { Message } from "../netlink/message.ts"
import { NLM_F_ACK, NLM_F_DUMP } from "../netlink/message.ts"
import { BATCH, HEADER, SUBSYSTEM, typeOf } from "../netlink/netfilter/nfnetlink.ts"
import { MSG } from "../netlink/netfilter/ruleset.ts"
import { Writer } from "../netlink/writer.ts"
import { acknowledge, done, part, refuse } from "./fake-kernel.ts"
import {
  type Chain,
  chainOf,
  chainSet,
  changeOf,
  ENOENT,
  elementsOf,
  elementsSet,
  keyOf,
  Refused,
  type Rule,
  refuseIf,
  ruleSet,
  type Tables,
  tableOf,
} from "./fake-ruleset.ts"
import { fromHex } from "./recorded.ts"

const ERESTART = 85

const generationSet = attributeSet({ id: [1, be32, "NFTA_GEN_ID"] })

/** A transaction that has begun. */
interface Draft {
  readonly tables: Tables
  readonly answers: Uint8Array[]
  refused: boolean
  /** Some change is one: to make a table that is there, or to empty an empty chain, is none. */
  changed: boolean
  /** Nothing of it is looked at: it was planned on a ruleset that is no more. */
  readonly outdated: boolean
}

/**
 * A ruleset in memory, which answers the requests of lib/netlink/netfilter as nf_tables does; conformance/lab/fake-kernel.test.ts compares the
 * two. It throws at requests that it was not made for. It does not judge if a chain's type and hook allow an expression.
 */
export class FakeNftables {
  #tables: Tables = new Map()
  #generation = 1
  #draft: Draft | undefined

  /** Returns the kernel's answers to one message. */
  answer(message: Message): readonly Uint8Array[] {
    if (message.type === BATCH.BEGIN) return this.#begin(message)
    if (message.type === BATCH.END) return this.#end()
    if (!this.#draft) return this.#ask(message)
    this.#change(this.#draft, message)
    return []
  }

  #begin(message: Message): Uint8Array[] {
    const { id } = generationSet.read(message.payload, HEADER)
    const outdated = id !== undefined && id !== this.#generation
    this.#draft = { tables: structuredClone(this.#tables), answers: [], refused: false, changed: false, outdated }
    return outdated ? [refuse(message, ERESTART)] : []
  }

  #change(draft: Draft, message: Message): void {
    if (draft.outdated) return
    try {
      if (changeOf(message)(draft.tables, message)) draft.changed = true
      if (message.flags & NLM_F_ACK) draft.answers.push(acknowledge(message))
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      draft.refused = true
      draft.answers.push(refuse(message, error.errno))
    }
  }

  /** Does all or nothing; but the handles that a refused transaction took are spent. */
  #end(): Uint8Array[] {
    const draft = this.#draft
    this.#draft = undefined
    if (!draft || draft.outdated) return []
    if (draft.refused) {
      for (const [key, table] of this.#tables) table.handle = draft.tables.get(key)?.handle ?? table.handle
    } else if (draft.changed) {
      this.#tables = draft.tables
      this.#generation++
    }
    return draft.answers
  }

  #ask(message: Message): Uint8Array[] {
    try {
      if (message.flags & NLM_F_DUMP) return [...this.#dump(message), done(message)]
      return [...this.#find(message), ...(message.flags & NLM_F_ACK ? [acknowledge(message)] : [])]
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      return [refuse(message, error.errno)]
    }
  }

  #find(message: Message): Uint8Array[] {
    switch (message.type) {
      case typeOf(SUBSYSTEM.NFTABLES, MSG.GETGEN):
        return [reply(message, MSG.NEWGEN, (writer) => generationSet.write(writer, { id: this.#generation }))]
      case typeOf(SUBSYSTEM.NFTABLES, MSG.GETCHAIN):
        return [findChain(this.#tables, message)]
      case typeOf(SUBSYSTEM.NFTABLES, MSG.GETRULE):
        return [findRule(this.#tables, message)]
      case typeOf(SUBSYSTEM.NFTABLES, MSG.GETSETELEM):
        return findElements(this.#tables, message)
      default:
        throw new Error(`the fake nf_tables cannot answer type ${message.type}`)
    }
  }

  #dump(message: Message): Uint8Array[] {
    switch (message.type) {
      case typeOf(SUBSYSTEM.NFTABLES, MSG.GETRULE):
        return this.#rules(message)
      case typeOf(SUBSYSTEM.NFTABLES, MSG.GETCHAIN):
        return this.#chains(message)
      default:
        throw new Error(`the fake nf_tables cannot list by type ${message.type}`)
    }
  }

  /** Lists the chains of all tables of a family. */
  #chains(message: Message): Uint8Array[] {
    const family = keyOf(message, "")
    return [...this.#tables].flatMap(([key, { chains }]) => {
      const table = key.slice(family.length)
      return key.startsWith(family) ? [...chains].map(([name, chain]) => tellChain(message, table, name, chain)) : []
    })
  }

  /** Lists one table's rules, or one chain's: none if it is missing. */
  #rules(message: Message): Uint8Array[] {
    const { table = "", chain: wanted } = ruleSet.read(message.payload, HEADER)
    const { chains } = this.#tables.get(keyOf(message, table)) ?? { chains: new Map<string, Chain>() }
    const found = [...chains].filter(([name]) => wanted === undefined || name === wanted)
    return found.flatMap(([chain, { rules }]) => rules.map((rule) => tellRule(message, table, chain, rule)))
  }
}

function findRule(tables: Tables, message: Message): Uint8Array {
  const { table = "", chain = "", handle } = ruleSet.read(message.payload.subarray(HEADER))
  const { rules } = chainOf(tableOf(tables, message, table).chains, chain)
  const [rule] = rules.filter((each) => each.handle === handle)
  if (!rule) throw new Refused(ENOENT)
  return tellRule(message, table, chain, rule)
}

function tellRule(message: Message, table: string, chain: string, { handle, expressions, userData }: Rule): Uint8Array {
  return reply(message, MSG.NEWRULE, (writer) => ruleSet.write(writer, { table, chain, handle, expressions, userData }))
}

function findElements(tables: Tables, message: Message): Uint8Array[] {
  const { table, set } = elementsSet.read(message.payload, HEADER)
  const { elements, keys = [] } = elementsOf(tables, message)
  return keys.map((key) => {
    refuseIf(!elements.has(key), ENOENT)
    const list = [{ key: { value: fromHex(key) } }]
    return reply(message, MSG.NEWSETELEM, (writer) => elementsSet.write(writer, { table, set, elements: { list } }))
  })
}

function findChain(tables: Tables, message: Message): Uint8Array {
  const { table = "", name = "" } = chainSet.read(message.payload, HEADER)
  return tellChain(message, table, name, chainOf(tableOf(tables, message, table).chains, name))
}

function tellChain(message: Message, table: string, name: string, { handle, base, userData }: Chain): Uint8Array {
  const hook = base && { number: base.number, priority: base.priority }
  const values = { table, name, handle, hook, policy: base?.policy, type: base?.type, userData }
  return reply(message, MSG.NEWCHAIN, (writer) => chainSet.write(writer, values))
}

function reply(request: Message, type: number, write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer().raw(request.payload.subarray(0, HEADER))
  write(writer)
  const flags = request.flags & NLM_F_DUMP ? undefined : 0
  return part(request, typeOf(SUBSYSTEM.NFTABLES, type), [writer.bytes], flags)
}
