import { attributeSet, be64, bytes, nested, text } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { KernelError } from "../kernel-error.ts"
import { type Message, NLM_F_APPEND, NLM_F_CREATE } from "../message.ts"
import { commentData, commentIn } from "./comment.ts"
import { type Expression, expressionList, type FoundExpression } from "./expression.ts"
import { HEADER, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"
import { type Chain, formatChain, MSG } from "./ruleset.ts"

/** NFTA_RULE_* */
const written = attributeSet({
  table: [1, text],
  chain: [2, text],
  handle: [3, be64],
  expressions: [4, nested(expressionList)],
  userData: [7, bytes],
})

/** The same, without what costs most to read. */
const skimmed = attributeSet({ handle: [3, be64], expressions: [4, bytes], userData: [7, bytes] })

/** What a rule does, in order, and the comment that says whose it is. */
export interface Rule {
  readonly expressions: readonly Expression[]
  readonly comment?: string | undefined
}

/** A rule as the kernel has it. */
export interface FoundRule {
  /** By which it is deleted: a number of its table's own. */
  readonly handle: bigint
  readonly comment: string | undefined
  /** Decodes the rule's steps. */
  readonly expressions: () => readonly FoundExpression[]
}

type ChainKey = Pick<Chain, "table" | "name">

/** Change for transact(): one more rule at the chain's end. */
export function appendRule(chain: ChainKey, rule: Rule): Request {
  return newRule(chain, rule, NLM_F_CREATE | NLM_F_APPEND)
}

/** Change for transact(): one more rule at the chain's beginning. */
export function insertRule(chain: ChainKey, rule: Rule): Request {
  return newRule(chain, rule, NLM_F_CREATE)
}

function newRule({ table, name }: ChainKey, { expressions, comment }: Rule, flags: number): Request {
  return {
    asked: `add a rule to ${formatChain({ table, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.NEWRULE),
    flags,
    write: (writer) =>
      written.write(writeHeader(writer, table.family), {
        table: table.name,
        chain: name,
        expressions: { steps: expressions },
        userData: comment === undefined ? undefined : commentData(comment),
      }),
  }
}

/** Change for transact(): the rule is gone. ENOENT if it was not there. */
export function deleteRule({ table, name }: ChainKey, handle: bigint): Request {
  return {
    asked: `delete rule ${handle} of ${formatChain({ table, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.DELRULE),
    write: (writer) => written.write(writeHeader(writer, table.family), { table: table.name, chain: name, handle }),
  }
}

/** Change for transact(): the chain, which must exist, has no rules. */
export function flushChain({ table, name }: ChainKey): Request {
  return {
    asked: `empty ${formatChain({ table, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.DELRULE),
    write: (writer) => written.write(writeHeader(writer, table.family), { table: table.name, chain: name }),
  }
}

/**
 * The chain's rules in their order, those alone whose comment begins with `prefix`; none where chain or table is missing. Throws
 * KernelError ERESTART where they change so often that they cannot be read whole, which transact() heals.
 */
export function listRules(kernel: Conversation, { table, name }: ChainKey, prefix = ""): FoundRule[] {
  const asked = `list the rules of ${formatChain({ table, name })}`
  const { messages, partial } = kernel.dump({
    asked,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETRULE),
    write: (writer) => written.write(writeHeader(writer, table.family), { table: table.name, chain: name }),
  })
  if (partial) throw new KernelError("ERESTART", asked)
  const rules = messages.map(decodeRule)
  return prefix === "" ? rules : rules.filter(({ comment }) => comment?.startsWith(prefix))
}

export function decodeRule({ payload }: Message): FoundRule {
  const { handle = 0n, expressions, userData } = skimmed.read(payload.subarray(HEADER))
  return {
    handle,
    comment: userData && commentIn(userData),
    expressions: () => (expressions && expressionList.read(expressions).steps) ?? [],
  }
}
