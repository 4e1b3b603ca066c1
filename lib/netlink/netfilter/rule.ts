import { ENCODING, host } from "../../sys/host.ts"
import { attributeSet, type Body, be32, be64, bytes, findAttribute, type Kind, nested, text } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { KernelError } from "../kernel-error.ts"
import { type Message, NLM_F_APPEND, NLM_F_CREATE, type Sieve } from "../message.ts"
import { Writer } from "../writer.ts"
import { commentIn, commentTest, dataOf, NOTE, noteIn, noteTest, userData } from "./comment.ts"
import { decodeSteps, expressionList, type FoundExpression, type Step } from "./expression.ts"
import { HEADER, nfnetlinkHeader, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"
import { type Chain, formatChain, formatTable, MSG, type Table } from "./ruleset.ts"

/** NFTA_RULE_COMPAT_* */
const compat = attributeSet({
  protocol: [1, be32, "NFTA_RULE_COMPAT_PROTO"],
  flags: [2, be32, "NFTA_RULE_COMPAT_FLAGS"],
})

/** Steps that are encoded already. */
const steps: Kind<readonly Step[]> = {
  encoding: ENCODING.PIECES,
  nested: true,
  inside: () => ({ attributes: expressionList }),
  write(writer, list) {
    for (const step of list) writer.raw(step)
  },
  read: (bytes, start, end) => [bytes.subarray(start, end)],
}

/** NFTA_RULE_* */
const written = attributeSet({
  table: [1, text, "NFTA_RULE_TABLE"],
  chain: [2, text, "NFTA_RULE_CHAIN"],
  handle: [3, be64, "NFTA_RULE_HANDLE"],
  expressions: [4, steps, "NFTA_RULE_EXPRESSIONS"],
  compat: [5, nested(compat), "NFTA_RULE_COMPAT"],
  userData: [7, userData, "NFTA_RULE_USERDATA"],
})

/** NFTA_RULE_* without the attributes that cost most to read. */
const skimmed = attributeSet({
  chain: [2, text, "NFTA_RULE_CHAIN"],
  handle: [3, be64, "NFTA_RULE_HANDLE"],
  expressions: [4, bytes, "NFTA_RULE_EXPRESSIONS"],
  userData: [7, userData, "NFTA_RULE_USERDATA"],
})

/** An NFT_MSG_NEWRULE and its like. */
export const ruleBody: Body = { header: nfnetlinkHeader, attributes: written }

/** A rule: its expressions in order, and the comment that tells whose it is. */
export interface Rule {
  readonly expressions: readonly Step[]
  readonly comment?: string | undefined
  /** A text beside the comment that only these plugins read. */
  readonly note?: string | undefined
  /** Both of them, if they are encoded already. */
  readonly userData?: Uint8Array | undefined
  /** The IPPROTO_* that the rule matches, for matches and targets of xtables; 0 for none. */
  readonly compat?: { readonly protocol: number; readonly flags: 0 }
}

/** A rule as the kernel has it. */
export interface FoundRule {
  /** By which it is deleted: a number of its table's own. */
  readonly handle: bigint
  /** The name of its chain. */
  readonly chain: string
  readonly comment: string | undefined
  readonly note: string | undefined
  /** NFTA_RULE_USERDATA, in which comment and note are; empty if there is none. */
  readonly userData: Uint8Array
  /** NFTA_RULE_EXPRESSIONS */
  readonly steps: Uint8Array
  /** Decodes the rule's steps. */
  expressions(): readonly FoundExpression[]
}

type ChainKey = Pick<Chain, "table" | "name" | "place">

/** Returns the chain with its place, which is encoded but once, when the heap image is made. */
export function placed<Described extends Chain>(chain: Described): Described {
  const writer = new Writer()
  writePlace(writer, chain)
  return { ...chain, place: writer.bytes.slice() }
}

/** Begins a message about rules of the chain. */
function writePlace(writer: Writer, { table, name, place }: ChainKey): Writer {
  if (place) return writer.raw(place)
  written.write(writeHeader(writer, table.family), { table: table.name, chain: name })
  return writer
}

/** Returns the change that adds the rule at the chain's end, for transact(). */
export function appendRule(chain: ChainKey, rule: Rule): Request {
  return addRule(chain, rule, NLM_F_APPEND)
}

/** Returns the change that adds the rule before all others of the chain, for transact(). */
export function insertRule(chain: ChainKey, rule: Rule): Request {
  return addRule(chain, rule, 0)
}

function addRule(chain: ChainKey, { expressions, comment, note, userData, compat }: Rule, where: number): Request {
  return {
    asked: `add a rule to ${formatChain(chain)}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.NEWRULE),
    flags: NLM_F_CREATE | where,
    write: (writer) =>
      written.write(writePlace(writer, chain), {
        expressions,
        compat,
        userData: userData ?? dataOf(comment, note),
      }),
  }
}

/** Returns the change that deletes the rule, for transact(): ENOENT if there is none. */
export function deleteRule({ table, name }: ChainKey, handle: bigint): Request {
  return {
    asked: `delete rule ${handle} of ${formatChain({ table, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.DELRULE),
    write: (writer) => written.write(writeHeader(writer, table.family), { table: table.name, chain: name, handle }),
  }
}

/** Returns the change that deletes all rules of the chain, for transact(): ENOENT if there is no chain. */
export function flushChain({ table, name }: ChainKey): Request {
  return {
    asked: `empty ${formatChain({ table, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.DELRULE),
    write: (writer) => written.write(writeHeader(writer, table.family), { table: table.name, chain: name }),
  }
}

/** Returns the chain's rule of that handle; undefined if there is none, or no such chain. */
export function findRule(nfnetlink: Conversation, chain: ChainKey, handle: bigint): FoundRule | undefined {
  const { table, name } = chain
  const request: Request = {
    asked: `read rule ${handle} of ${formatChain(chain)}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETRULE),
    about: { family: table.family, table: table.name, chain: name, handle },
    write: (writer) => written.write(writePlace(writer, chain), { handle }),
  }
  return nfnetlink.find(request, decodeRule)
}

/**
 * Returns the chain's rules in order, only those whose comment begins with `prefix`; none if chain or table is missing. Throws KernelError
 * ERESTART if they change too often to be read whole; transact() and retried() try again then.
 */
export function listRules(nfnetlink: Conversation, chain: ChainKey, prefix = ""): FoundRule[] {
  return dumpRules(nfnetlink, { table: chain.table, chain, ...withComment(prefix) }, (rule) => rule)
}

/**
 * Returns the values that `read` returns for the chain's rules, in order, without undefined; only for those that the sieve lets through and whose
 * NFTA_RULE_EXPRESSIONS pass `steps`, if these are given. Throws as listRules().
 */
export function readRules<Value>(
  nfnetlink: Conversation,
  chain: ChainKey,
  read: (rule: FoundRule) => Value | undefined,
  { steps, sieve }: Pick<Wanted, "steps" | "sieve"> = {},
): Value[] {
  return dumpRules(nfnetlink, { table: chain.table, chain, steps, sieve }, read)
}

/** Returns the chain's rules that have no note, or one that begins with `note`, in order. Throws as listRules(). */
export function listRulesByNote(nfnetlink: Conversation, chain: ChainKey, note: string): FoundRule[] {
  const sieve = note === "" ? undefined : notedWith(host.encode(note))
  return dumpRules(nfnetlink, { table: chain.table, chain, test: noteTest(note), sieve }, (rule) => rule)
}

/** Returns the chain's rules in whose bytes `text` occurs, as in a comment or as the name of a chain, in order. Throws as listRules(). */
export function listRulesWith(nfnetlink: Conversation, chain: ChainKey, text: string): FoundRule[] {
  return dumpRules(nfnetlink, { table: chain.table, chain, sieve: sieveFor(text) }, (rule) => rule)
}

/** Returns the values that `read` returns for the rules of all chains of the table, without undefined. Throws as listRules(). */
export function readTableRules<Value>(
  nfnetlink: Conversation,
  table: Table,
  read: (rule: FoundRule, kept: number) => Value | undefined,
  prefix = "",
): Value[] {
  return dumpRules(nfnetlink, { table, ...withComment(prefix) }, read)
}

/** Returns true if `test` is true of a rule in the chain; rules after the first such one are not decoded, nor read if they are many. Throws as listRules(). */
export function hasRule(nfnetlink: Conversation, chain: ChainKey, test: (rule: FoundRule) => boolean): boolean {
  const request = listing(chain.table, chain)
  const found = nfnetlink.dumpFirst(request, (message) => test(decodeRule(message)) || undefined)
  if (found.partial && found.values.length === 0) throw new KernelError("ERESTART", request.asked)
  return found.values.length > 0
}

interface Wanted {
  readonly table: Table
  readonly chain?: ChainKey
  /** A test of the user data; left out if all rules are wanted. */
  readonly test?: ((data: Uint8Array) => boolean) | undefined
  /** A test of the steps before they are decoded. */
  readonly steps?: ((expressions: Uint8Array) => boolean) | undefined
  /** Passes over most of the others sooner than the tests do. */
  readonly sieve?: Sieve | undefined
}

const NFTA_RULE_EXPRESSIONS = 4
const NFTA_RULE_USERDATA = 7
const NOTHING = new Uint8Array()

function dumpRules<Value>(
  nfnetlink: Conversation,
  { table, chain, test, steps, sieve }: Wanted,
  read: (rule: FoundRule, kept: number) => Value | undefined,
): Value[] {
  const request = listing(table, chain)
  const readWanted = (message: Message, kept: number) => {
    // Most rules are of others and are not decoded.
    const wanted =
      (!test || test(findAttribute(message.payload, NFTA_RULE_USERDATA, HEADER) ?? NOTHING)) &&
      (!steps || steps(findAttribute(message.payload, NFTA_RULE_EXPRESSIONS, HEADER) ?? NOTHING))
    return wanted ? read(decodeRule(message), kept) : undefined
  }
  const { values, partial } = nfnetlink.dump(request, readWanted, sieve)
  if (partial) throw new KernelError("ERESTART", request.asked)
  return values
}

function withComment(prefix: string): Pick<Wanted, "test" | "sieve"> {
  return prefix === "" ? {} : { test: commentTest(prefix), sieve: sieveFor(prefix) }
}

function sieveFor(text: string): Sieve {
  const texts = host.encode(text)
  return { texts, width: texts.length, attribute: 0, mark: 0 }
}

/** Returns the sieve that passes over rules with a note in which none of the texts is. */
export function notedWith(texts: Uint8Array, width = texts.length): Sieve {
  return { texts, width, attribute: NFTA_RULE_USERDATA, mark: NOTE }
}

/** Returns the request for all rules of a table, or of one of its chains. */
export function listing(table: Table, chain?: ChainKey): Request {
  return {
    asked: `list the rules of ${chain ? formatChain(chain) : formatTable(table)}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETRULE),
    about: { family: table.family, table: table.name, chain: chain?.name },
    write(writer) {
      if (chain) writePlace(writer, chain)
      else written.write(writeHeader(writer, table.family), { table: table.name })
    },
  }
}

/** A message that is kept to be read more than once, with the rule that it describes. */
export interface KeptMessage extends Message {
  readonly rule?: FoundRule
}

/** Returns the message with its rule, whose steps are decoded once, when they are first asked for. */
export function keepRule(message: Message): KeptMessage {
  const { handle, chain, comment, note, userData, steps } = decodeRule(message)
  let decoded: readonly FoundExpression[] | undefined
  const expressions = () => (decoded ??= decodeSteps(steps))
  return { ...message, rule: { handle, chain, comment, note, userData, steps, expressions } }
}

/** Returns the rule that an NFT_MSG_NEWRULE describes. Throws WireError; `expressions` does so when it is called. */
export function decodeRule({ rule, payload }: KeptMessage): FoundRule {
  return rule ?? new ReceivedRule(skimmed.read(payload, HEADER))
}

/** A rule whose comment, note and steps are decoded when they are asked for: most are compared byte for byte, and no more. */
class ReceivedRule implements FoundRule {
  readonly handle: bigint
  readonly chain: string
  readonly userData: Uint8Array
  readonly steps: Uint8Array

  constructor({ handle = 0n, chain = "", userData = NOTHING, expressions = NOTHING }: ReturnType<typeof skimmed.read>) {
    this.handle = handle
    this.chain = chain
    this.userData = userData
    this.steps = expressions
  }

  get comment(): string | undefined {
    return commentIn(this.userData)
  }

  get note(): string | undefined {
    return noteIn(this.userData)
  }

  expressions(): readonly FoundExpression[] {
    return decodeSteps(this.steps)
  }
}
