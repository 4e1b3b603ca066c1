import { ruleKey } from "../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { WireError } from "../../lib/netlink/attribute.ts"
import { Conversation, type Readings, type Request } from "../../lib/netlink/conversation.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import type { Message } from "../../lib/netlink/message.ts"
import { SUBSYSTEM, typeOf } from "../../lib/netlink/netfilter/nfnetlink.ts"
import { decodeRule, type FoundRule, keepRule } from "../../lib/netlink/netfilter/rule.ts"
import { MSG } from "../../lib/netlink/netfilter/ruleset.ts"
import { Writer } from "../../lib/netlink/writer.ts"
import { host } from "../../lib/sys/host.ts"
import { commentOf } from "../../plugins/portmap/hostport/rule-tag.ts"
import { noteOf } from "../../plugins/portmap/iptables/chains.ts"

type Answer = Readings<Remembered> | KernelError

interface Remembered {
  readonly message: Message
  /** The container that a rule is of; undefined if it names none that is known. */
  readonly owner: string | undefined
}

const NEWRULE = typeOf(SUBSYSTEM.NFTABLES, MSG.NEWRULE)

/** The answers of the node's packet filter so far: the CHECKs of all pods read the same chains. */
class Memory {
  readonly kernel: Conversation
  readonly #owners = new Map<string, string>()
  readonly #answers = new Map<string, Answer>()

  constructor(kernel: Conversation, attachments: readonly Attachment[]) {
    this.kernel = kernel
    for (const attachment of attachments) {
      const { containerId } = attachment
      for (const text of [containerId, commentOf(containerId), ruleKey(attachment), noteOf(attachment)])
        this.#owners.set(text, containerId)
    }
  }

  /** Returns the answer to the request as `ask` got it for the first time. Throws KernelError. */
  recall(kind: "get" | "dump", request: Request, ask: () => Readings<Message>): Readings<Remembered> {
    const key = `${kind} ${keyOf(request)}`
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
    return { message: kept, owner: this.#ownerIn(kept) }
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
  }
}

function keyOf({ type, flags = 0, write }: Request): string {
  const writer = new Writer()
  write(writer)
  return `${type} ${flags} ${String.fromCharCode(...writer.bytes)}`
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

  override batch(begin: Request, requests: Iterable<Request>, end: Request): void {
    this.#memory.forget()
    this.#memory.kernel.batch(begin, requests, end)
  }

  override get<Value>(request: Request, read: (message: Message) => Value): Value {
    const [answer] = this.#answer(request)
    if (!answer) throw new WireError("acknowledgement without an answer", 0)
    return read(answer.message)
  }

  override tryGet<Value>(request: Request, read: (message: Message) => Value): Value | undefined {
    const [answer] = this.#answer(request)
    return answer && read(answer.message)
  }

  #answer(request: Request): readonly Remembered[] {
    const { kernel } = this.#memory
    return this.#memory.recall("get", request, () => {
      const message = kernel.tryGet(request, copied)
      return { values: message ? [message] : [], partial: false }
    }).values
  }

  override dump<Value>(request: Request, read: (message: Message, kept: number) => Value | undefined): Readings<Value> {
    const { kernel } = this.#memory
    const { values: remembered, partial } = this.#memory.recall("dump", request, () => kernel.dump(request, copied))
    const values: Value[] = []
    for (const { message, owner } of remembered) {
      if (this.#containerId !== undefined && owner !== undefined && owner !== this.#containerId) continue
      const value = read(message, values.length)
      if (value !== undefined) values.push(value)
    }
    return { values, partial }
  }

  override dumpFirst<Value>(request: Request, read: (message: Message) => Value | undefined): Readings<Value> {
    return this.dump(request, (message, kept) => (kept === 0 ? read(message) : undefined))
  }
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
