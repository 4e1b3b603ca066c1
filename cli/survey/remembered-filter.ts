import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { findAttribute, WireError } from "../../lib/netlink/attribute.ts"
import { Conversation, type Readings, type Request, type RuleKey } from "../../lib/netlink/conversation.ts"
import { KernelError, refusedWith } from "../../lib/netlink/kernel-error.ts"
import type { Message, Sieve } from "../../lib/netlink/message.ts"
import {
  familyIn,
  HEADER,
  type NetfilterFamily,
  SUBSYSTEM,
  typeOf,
  writeHeader,
} from "../../lib/netlink/netfilter/nfnetlink.ts"
import { decodeRule, type FoundRule, keepRule, listing } from "../../lib/netlink/netfilter/rule.ts"
import { decodeChain, MSG } from "../../lib/netlink/netfilter/ruleset.ts"
import { Writer } from "../../lib/netlink/writer.ts"
import { host } from "../../lib/sys/host.ts"
import { commentOf } from "../../plugins/portmap/hostport/rule-tag.ts"
import { noteOf } from "../../plugins/portmap/iptables/chains.ts"
import { grouped } from "../grouped.ts"
import { Shares } from "./shares.ts"

type Answer = Readings<Remembered> | KernelError

interface Answered {
  readonly values: readonly Remembered[]
  readonly partial: boolean
}

interface Remembered {
  readonly message: Message
  /** The container that a rule is of; undefined if it names none that is known. */
  readonly owner: string | undefined
  /** Of a rule. */
  readonly handle?: bigint
  readonly chain?: string
}

const [NEWRULE, GETRULE] = [MSG.NEWRULE, MSG.GETRULE].map((message) => typeOf(SUBSYSTEM.NFTABLES, message))
const GETCHAIN = typeOf(SUBSYSTEM.NFTABLES, MSG.GETCHAIN)

/** The rules of a table, which are read at once, however many ask for some of them. */
interface RememberedTable {
  readonly byHandle: ReadonlyMap<bigint, Remembered>
  readonly byChain: ReadonlyMap<string, { readonly all: readonly Remembered[]; readonly shares: Shares<Remembered> }>
}

/** The answers of the node's packet filter so far: the CHECKs of all pods read the same chains. */
class Memory {
  readonly kernel: Conversation
  readonly #owners = new Map<string, string>()
  readonly #answers = new Map<string, Answer>()
  readonly #tables = new Map<string, RememberedTable>()
  #chains: ReadonlyMap<string, Remembered> | undefined

  constructor(kernel: Conversation, attachments: readonly Attachment[]) {
    this.kernel = kernel
    for (const attachment of attachments) {
      const { containerId } = attachment
      for (const owned of [containerId, commentOf(containerId), ruleKey(attachment), noteOf(attachment)])
        this.#owners.set(owned, containerId)
    }
  }

  /** Returns the kernel's answer to a request for one object; empty if it only acknowledges. Throws KernelError. */
  one(request: Request): readonly Remembered[] {
    const found = request.type === GETRULE ? this.#rule(request) : this.#chain(request)
    if (found) return [found]
    return this.#recall("get", request, () => {
      const message = this.kernel.tryGet(request, copied)
      return { values: message ? [message] : [], partial: false }
    }).values
  }

  /** Returns the kernel's answer to a request for all objects of a kind; of rules, without those of others than the container. Throws KernelError. */
  all(request: Request, containerId: string | undefined): Answered {
    const { type, about } = request
    const rules = type === GETRULE && about?.chain !== undefined ? this.#table(about) : undefined
    if (!rules) return this.#recall("dump", request, () => this.kernel.dump(request, copied))
    const own = rules.byChain.get(about?.chain ?? "")
    return { values: (containerId === undefined ? own?.all : own?.shares.of(containerId)) ?? [], partial: false }
  }

  #rule({ about }: Request): Remembered | undefined {
    const found = about && this.#table(about)?.byHandle.get(about.handle ?? 0n)
    return found?.chain === about?.chain ? found : undefined
  }

  #chain({ type, about }: Request): Remembered | undefined {
    if (type !== GETCHAIN || !about) return undefined
    if (!this.#chains) {
      const all = { asked: "list chains", type, write: (writer: Writer) => void writeHeader(writer, "unspec") }
      const { values, partial } = this.#recall("dump", all, () => this.kernel.dump(all, copied))
      if (partial) return undefined
      this.#chains = new Map(values.map((chain) => [keyOfChain(chain.message), chain]))
    }
    return this.#chains.get(`${about.family} ${about.table} ${about.chain}`)
  }

  /** Returns the rules of the table; undefined if they change too often. */
  #table({ family, table: name }: RuleKey): RememberedTable | undefined {
    const key = `${family} ${name}`
    const known = this.#tables.get(key)
    if (known) return known
    const all = listing({ family: family as NetfilterFamily, name })
    const { values, partial } = this.#recall("dump", all, () => this.kernel.dump(all, copied))
    if (partial) return undefined
    const byChain = [...grouped(values, ({ chain }) => chain ?? "")].map(
      ([chain, rules]) => [chain, { all: rules, shares: new Shares(rules, ({ owner }) => owner) }] as const,
    )
    const table = { byHandle: new Map(values.map((rule) => [rule.handle ?? 0n, rule])), byChain: new Map(byChain) }
    this.#tables.set(key, table)
    return table
  }

  /** Returns the answer to the request as `ask` got it for the first time. Throws KernelError. */
  #recall(kind: "get" | "dump", request: Request, ask: () => Readings<Message>): Readings<Remembered> {
    const key = keyOf(kind, request)
    const answer = this.#answers.get(key) ?? this.#learn(ask)
    const isWhole = answer instanceof KernelError || !answer.partial // otherwise it is asked again
    if (isWhole) this.#answers.set(key, answer)
    if (answer instanceof KernelError) throw answer
    return answer
  }

  #learn(ask: () => Readings<Message>): Answer {
    try {
      const { values, partial } = ask()
      return { values: values.map((message) => this.#remembered(message)), partial }
    } catch (error) {
      if (error instanceof KernelError) return error
      throw error
    }
  }

  #remembered(message: Message): Remembered {
    if (message.type !== NEWRULE) return { message, owner: undefined }
    const kept = keepRule(message)
    const { handle, chain } = decodeRule(kept)
    return { message: kept, owner: this.#ownerIn(kept), handle, chain }
  }

  ownerOf({ comment = "", note = "" }: Pick<FoundRule, "comment" | "note">): string | undefined {
    for (const text of [note, comment, comment.split(",", 1)[0] ?? ""]) {
      const owner = this.#owners.get(text)
      if (owner !== undefined) return owner
    }
    return undefined
  }

  #ownerIn(message: Message): string | undefined {
    const owner = this.ownerOf(decodeRule(message))
    if (owner !== undefined) return owner
    const inMatch = / id: "([^"]*)"/.exec(host.decode(message.payload))?.[1] // the comments of iptables are matches
    return this.#owners.get(inMatch ?? "")
  }

  forget(): void {
    this.#answers.clear()
    this.#tables.clear()
    this.#chains = undefined
  }
}

function keyOf(kind: string, { type, flags = 0, write }: Request): string {
  const writer = new Writer()
  write(writer)
  return `${kind} ${type} ${flags} ${characters(writer.bytes)}`
}

function keyOfChain(message: Message): string {
  const { table, name } = decodeChain(message, "inet")
  return `${familyIn(message.payload)} ${table.name} ${name}`
}

export interface RememberedFilter {
  /**
   * Returns the packet filter as a container sees it, with its own rules and those of nobody: two hundred pods do not look through the rules
   * of two hundred. Without a container, whole.
   */
  readonly as: (containerId?: string) => Conversation
  /** Returns the container that the rule is of; undefined if it names none that is known. */
  readonly ownerOf: (rule: FoundRule) => string | undefined
}

/** Returns the node's packet filter, whose answers are remembered until something is changed. */
export function rememberedFilter(kernel: Conversation, attachments: readonly Attachment[]): RememberedFilter {
  const memory = new Memory(kernel, attachments)
  return { as: (containerId) => new View(memory, containerId), ownerOf: (rule) => memory.ownerOf(rule) }
}

class View extends Conversation {
  readonly #memory: Memory
  readonly #containerId: string | undefined

  constructor(memory: Memory, containerId: string | undefined) {
    super(unused)
    this.#memory = memory
    this.#containerId = containerId
  }

  override execute(request: Request): void {
    this.#memory.forget()
    this.#memory.kernel.execute(request)
  }

  override remove(request: Request): void {
    this.#memory.forget()
    this.#memory.kernel.remove(request)
  }

  override together(body: () => void): void {
    body() // one by one
  }

  override batch(begin: Request, requests: Iterable<Request>, end: Request): void {
    this.#memory.forget()
    this.#memory.kernel.batch(begin, requests, end)
  }

  override get<Value>(request: Request, read: (message: Message) => Value): Value {
    const [answer] = this.#memory.one(request)
    if (!answer) throw new WireError("acknowledgement without an answer", 0)
    return read(answer.message)
  }

  override find<Value>(request: Request, read: (message: Message) => Value): Value | undefined {
    try {
      return this.tryGet(request, read)
    } catch (error) {
      if (refusedWith(error, "ENOENT", "ENODEV")) return undefined
      throw error
    }
  }

  override tryGet<Value>(request: Request, read: (message: Message) => Value): Value | undefined {
    const [answer] = this.#memory.one(request)
    return answer && read(answer.message)
  }

  override dump<Value>(
    request: Request,
    read: (message: Message, kept: number) => Value | undefined,
    sieve?: Sieve,
  ): Readings<Value> {
    const { values: remembered, partial } = this.#memory.all(request, this.#containerId)
    const isPassedOver = sieve && passesOver(sieve)
    const values: Value[] = []
    for (const { message } of remembered) {
      if (isPassedOver?.(message)) continue
      const value = read(message, values.length)
      if (value !== undefined) values.push(value)
    }
    return { values, partial }
  }

  override dumpFirst<Value>(request: Request, read: (message: Message) => Value | undefined): Readings<Value> {
    return this.dump(request, (message, kept) => (kept === 0 ? read(message) : undefined))
  }
}

/** Returns what the sieve of a Conversation does, for messages of its memory. */
function passesOver({ texts, width, attribute, mark }: Sieve): (message: Message) => boolean {
  const wanted = Array.from({ length: texts.length / width }, (_, at) =>
    characters(texts.subarray(at * width, (at + 1) * width)),
  )
  return ({ payload }) => {
    if (attribute !== 0 && findAttribute(payload, attribute, HEADER)?.[0] !== mark) return false
    const text = characters(payload)
    return !wanted.some((each) => text.includes(each))
  }
}

/** Returns a character for each byte: not all bytes are text. */
function characters(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

/** Returns a copy that outlives the receive buffer. */
function copied(message: Message): Message {
  return { ...message, payload: message.payload.slice() }
}

/** The kernel is asked through another conversation: what of it is not overridden here fails. */
const unused = {
  send: () => undefined,
  receive: (): Uint8Array => {
    throw new Error("nobody answers here")
  },
  [Symbol.dispose]: () => undefined,
}
