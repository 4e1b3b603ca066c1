import { addressBytes } from "../../../lib/ip/address.ts"
import {
  BASE,
  COMPARE,
  type Expression,
  type FoundExpression,
  META,
  VERDICT,
} from "../../../lib/netlink/netfilter/expression.ts"
import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import type { Table } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { FoundElement } from "../../../lib/netlink/netfilter/set.ts"
import { host } from "../../../lib/sys/host.ts"
import type { Ruleset } from "../../survey/ruleset.ts"
import { all, not, type Packet, type Truth } from "./packet.ts"
import { type Effect, effectOf, meets } from "./xtables.ts"

/** A rule's effect on packets that meet it. */
export type Action = Effect | "return" | { readonly jump: string } | { readonly goto: string }

/** One thing that a rule may do with a packet. */
export interface Branch {
  /** If the packet meets the rule's conditions. */
  readonly holds: Truth
  readonly action: Action
}

/** True if the packet bears a mark: unknown once a rule may have set one. */
export interface Marking {
  isMarked: Truth
}

/** Judges one rule: goes through its steps as the kernel does, with the values of the packet that are known. */
export function judge(ruleset: Ruleset, table: Table, rule: FoundRule, packet: Packet, marking: Marking): Branch[] {
  const judgement = new Judgement(ruleset, table, packet, marking)
  for (const step of rule.expressions()) if (!judgement.take(step)) break
  return judgement.branches
}

/** Values in host order, such as marks and states. */
const number = (value: number) => new Uint8Array(Uint32Array.of(value).buffer)

const STATE = { new: 8, established: 2 } as const
const DNAT = 1 << 5
const NFT_CT = { state: 0, status: 2 } as const
const [RTN_UNICAST, RTN_LOCAL] = [1, 2]
/** Steps that do something beside the packet's way. */
const HARMLESS = ["counter", "log", "notrack", "last", "objref", "flow_offload", "dup"]
/** Steps that only compare. */
const TESTS = ["range", "limit", "quota", "connlimit", "dynset"]

class Judgement {
  readonly branches: Branch[] = []
  readonly #ruleset: Ruleset
  readonly #table: Table
  readonly #packet: Packet
  readonly #marking: Marking
  #holds: Truth = true
  readonly #registers = new Map<number | undefined, Uint8Array>()

  constructor(ruleset: Ruleset, table: Table, packet: Packet, marking: Marking) {
    this.#ruleset = ruleset
    this.#table = table
    this.#packet = packet
    this.#marking = marking
  }

  /** Takes a step. Returns false if the rule ends here. */
  take(found: FoundExpression): boolean {
    const step = found as Expression
    switch (step.name) {
      case "cmp":
        return this.#demand(compare(this.#registers.get(step.data.source), step.data))
      case "bitwise":
        return this.#set(step.data.target, masked(this.#registers.get(step.data.source), step.data))
      case "match":
        return this.#demand(meets(step.data, this.#packet, this.#marking.isMarked))
      case "lookup":
        return this.#lookup(step.data)
      case "immediate":
        return step.data.target === 0 ? this.#act(actionOf(step.data.data?.verdict)) : true
      case "target":
        return this.#act(effectOf(step.data))
      case "nat":
      case "masq":
        return this.#act(step.name === "nat" && step.data.type === 1 ? "redirects" : "accept")
      default:
        return this.#takeOther(step)
    }
  }

  #takeOther(step: Expression | FoundExpression): boolean {
    const { name } = step
    if (name === "reject") return this.#act("drop")
    if (name === "redir") return this.#act("redirects")
    if (HARMLESS.includes(name)) return true
    if (TESTS.includes(name)) return this.#demand("maybe")
    if (["queue", "tproxy", "synproxy"].includes(name)) return this.#act("unknown")
    const { target } = (step.data ?? {}) as { target?: number }
    if (name === "meta" && target === undefined) return this.#act("marks")
    if (name === "ct" && target === undefined) return true
    if (target === undefined) this.#registers.clear() // an unknown step may have loaded any of them
    return this.#set(target, loadedValue(step as Expression, this.#packet, this.#marking))
  }

  #set(register: number | undefined, value: Uint8Array | undefined): true {
    if (value) this.#registers.set(register, value)
    else this.#registers.delete(register)
    return true
  }

  #demand(truth: Truth): boolean {
    this.#holds = all([this.#holds, truth])
    return this.#holds !== false
  }

  #act(action: Action): boolean {
    if (action === "marks" && this.#holds !== false) this.#marking.isMarked = "maybe"
    if (action === "continues" || action === "marks") return true
    this.branches.push({ holds: this.#holds, action })
    return false
  }

  /** A set is met by what is in it; a map loads a value, or says what to do. */
  #lookup({ set = "", source, target, flags = 0 }: Extract<Expression, { name: "lookup" }>["data"]): boolean {
    const value = this.#registers.get(source)
    const elements = this.#ruleset.elementsOf(this.#table, set)
    const hits = elements.filter((element) => !element.ends && isHit(elements, element, value) !== false)
    const holds: Truth =
      hits.length === 0 ? false : value && hits.some((hit) => isHit(elements, hit, value) === true) ? true : "maybe"
    if (target === undefined) return this.#demand(flags & 1 ? not(holds) : holds)
    if (target !== 0) this.#registers.delete(target)
    if (target !== 0) return this.#demand(holds)
    for (const { verdict } of hits) {
      const certain = holds === true && hits.length === 1
      this.branches.push({ holds: all([this.#holds, certain || "maybe"]), action: actionOf(verdict) })
    }
    return holds !== true || hits.length > 1
  }
}

/** Says if the value is in the element: the same, or in the range that begins there. */
function isHit(elements: readonly FoundElement[], { key, joined }: FoundElement, value: Uint8Array | undefined): Truth {
  if (!value || joined || key.length < value.length) return "maybe"
  if (!elements.some(({ ends }) => ends)) return order(value, key) === 0
  if (order(value, key) < 0) return false
  const next = elements.filter((other) => order(other.key, key) > 0).sort((a, b) => order(a.key, b.key))[0]
  return !next || order(value, next.key) < 0
}

function actionOf(verdict: { readonly code?: number | undefined; readonly chain?: string | undefined } = {}): Action {
  const { code, chain = "" } = verdict
  if (code === VERDICT.jump) return { jump: chain }
  if (code === VERDICT.goto) return { goto: chain }
  if (code === VERDICT.accept) return "accept"
  if (code === VERDICT.drop) return "drop"
  if (code === VERDICT.return) return "return"
  return code === -1 ? "continues" : "unknown" // NFT_CONTINUE
}

/** Returns the value that the step loads, if it is known of the packet. */
function loadedValue(step: Expression, packet: Packet, marking: Marking): Uint8Array | undefined {
  if (step.name === "payload") return payloadValue(step.data, packet)
  if (step.name === "meta") return metaValue(step.data.key, packet, marking)
  if (step.name === "fib")
    return step.data.result === 3 ? number(packet.toThisHost ? RTN_LOCAL : RTN_UNICAST) : undefined
  if (step.name !== "ct") return undefined
  if (step.data.key === NFT_CT.state) return number(STATE[packet.state])
  return step.data.key === NFT_CT.status ? number(packet.redirected ? DNAT : 0) : undefined
}

const NFPROTO = { 4: 2, 6: 10 } as const

function metaValue(key: number | undefined, packet: Packet, { isMarked }: Marking): Uint8Array | undefined {
  const { protocol } = packet
  if (key === META.iifname) return nameBytes(packet.fromInterface)
  if (key === META.oifname) return nameBytes(packet.toInterface)
  if (key === META.nfproto) return Uint8Array.of(NFPROTO[packet.family])
  if (key === META.l4proto) return protocol === undefined ? undefined : Uint8Array.of(protocol)
  return key === META.mark && isMarked === false ? number(0) : undefined
}

function nameBytes(name: string | undefined): Uint8Array | undefined {
  if (name === undefined) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(host.encode(name).subarray(0, 15))
  return bytes
}

function payloadValue(data: Extract<Expression, { name: "payload" }>["data"], packet: Packet): Uint8Array | undefined {
  const { base, offset = 0, length = 0 } = data
  const { protocol, destinationPort: port } = packet
  if (base === BASE.transport && offset === 2 && length === 2 && port !== undefined)
    return Uint8Array.of(port >> 8, port & 0xff)
  if (base !== BASE.network) return undefined
  if (offset === (packet.family === 4 ? 9 : 6) && length === 1 && protocol !== undefined) return Uint8Array.of(protocol)
  const [source, destination] = packet.family === 4 ? [12, 16] : [8, 24]
  const address = offset === source ? packet.source : offset === destination ? packet.destination : undefined
  return address && addressBytes(address).subarray(0, length)
}

function masked(
  value: Uint8Array | undefined,
  { mask, xor }: Extract<Expression, { name: "bitwise" }>["data"],
): Uint8Array | undefined {
  if (!value || mask?.value?.length !== value.length) return undefined
  return value.map((byte, at) => (byte & (mask.value?.[at] ?? 0)) ^ (xor?.value?.[at] ?? 0))
}

/** NFT_CMP_*: equal, not equal, less, less or equal, greater, greater or equal. */
function compare(
  value: Uint8Array | undefined,
  { operation = 0, data }: Extract<Expression, { name: "cmp" }>["data"],
): Truth {
  const wanted = data?.value
  if (!value || !wanted || wanted.length > value.length) return "maybe"
  const relation = order(value.subarray(0, wanted.length), wanted)
  if (operation === COMPARE.equal) return relation === 0
  if (operation === COMPARE.differs) return relation !== 0
  return [relation < 0, relation <= 0, relation > 0, relation >= 0][operation - 2] ?? "maybe"
}

function order(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < b.length; at++) if (a[at] !== b[at]) return (a[at] ?? 0) - (b[at] ?? 0)
  return 0
}
