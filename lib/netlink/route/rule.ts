import { type Address, type Family, formatAddress } from "../../ip/address.ts"
import { hostPrefix, type Prefix, samePrefix } from "../../ip/prefix.ts"
import { address, attributeSet, type Body, eachAttribute, printed, u8, u32, WireError } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { nameOf } from "../print.ts"
import type { Writer } from "../writer.ts"
import { tableName } from "./route.ts"
import { AF, afOf, familyNames, RTM } from "./rtm.ts"

/** FRA_* from linux/fib_rules.h: those that a rule which only names a source and a table may have. */
const attributes = attributeSet({
  source: [2, address, "FRA_SRC"],
  priority: [6, u32, "FRA_PRIORITY"],
  suppressed: [14, u32, "FRA_SUPPRESS_PREFIXLEN"],
  table: [15, printed(u32, tableName), "FRA_TABLE"],
  protocol: [21, u8, "FRA_PROTOCOL"],
})

const HEADER = 12 // struct fib_rule_hdr
const FR_ACT_TO_TBL = 1
const FIB_RULE_INVERT = 0x2
/** The kernel's word for: no route of the table is left out. */
const NONE_SUPPRESSED = 0xffffffff

/** FR_ACT_* as `ip` calls them. */
const actionNames = { lookup: FR_ACT_TO_TBL, goto: 2, nop: 3, blackhole: 6, unreachable: 7, prohibit: 8 } as const

/** An RTM_NEWRULE and its like. */
export const policyRuleBody: Body = {
  header: {
    size: HEADER,
    print: (view) => ({
      family: nameOf(familyNames, view.getUint8(0)),
      dst_len: view.getUint8(1),
      src_len: view.getUint8(2),
      table: tableName(view.getUint8(4)),
      action: nameOf(actionNames, view.getUint8(7)),
    }),
  },
  attributes,
}

/** A rule of routing policy: which packets are routed by which table. */
export interface PolicyRule {
  /** Absent: any. */
  readonly source?: Prefix | undefined
  readonly table: number
  readonly priority: number
  /** True if it says a source and a table and nothing else; otherwise it may be for fewer packets, or do something else with them. */
  readonly plain: boolean
}

/** Says if the rule is for all packets from that address, and for those alone. */
export function isFrom({ source, plain }: PolicyRule, sender: Address): boolean {
  return plain && source !== undefined && samePrefix(source, hostPrefix(sender))
}

/** Adds a rule for packets from an address, before those that the kernel or others have added. */
export function createPolicyRule(rtnetlink: Conversation, sender: Address, table: number): void {
  changePolicyRule(rtnetlink, "add", { type: RTM.NEWRULE, flags: NLM_F_CREATE | NLM_F_EXCL }, { sender, table })
}

/** Removes the rule for packets from an address, if there is one; that of one priority if it is given. */
export function removePolicyRule(rtnetlink: Conversation, sender: Address, table: number, priority?: number): void {
  try {
    changePolicyRule(rtnetlink, "remove", { type: RTM.DELRULE, flags: 0 }, { sender, table, priority })
  } catch (error) {
    if (!refusedWith(error, "ENOENT")) throw error
  }
}

interface Change {
  readonly sender: Address
  readonly table: number
  readonly priority?: number | undefined
}

function changePolicyRule(
  rtnetlink: Conversation,
  verb: string,
  message: { readonly type: number; readonly flags: number },
  { sender, table, priority }: Change,
): void {
  const small = table < 256 // one byte of the header has room for it
  rtnetlink.execute({
    asked: `${verb} the rule from ${formatAddress(sender)} to table ${table}`,
    ...message,
    write(writer) {
      const { family } = sender
      writer.u8(afOf(family)).u8(0).u8(hostPrefix(sender).length).u8(0)
      writer
        .u8(small ? table : 0)
        .u8(0)
        .u8(0)
        .u8(FR_ACT_TO_TBL)
        .u32(0)
      attributes.write(writer, { source: sender, priority, table: small ? undefined : table })
    },
  })
}

/** Returns the rules of one family or both, in the order in which packets meet those of a family. */
export function listPolicyRules(rtnetlink: Conversation, only?: Family): PolicyRule[] {
  const request = {
    asked: "list the rules of routing policy",
    type: RTM.GETRULE,
    write: (writer: Writer) =>
      void writer
        .u32(only ? afOf(only) : AF.UNSPEC)
        .u32(0)
        .u32(0),
  }
  return rtnetlink.dump(request, (message) => {
    const family = message.payload[0]
    const isRule = message.type === RTM.NEWRULE && (family === AF.INET || family === AF.INET6)
    return isRule ? decodePolicyRule(message) : undefined
  }).values
}

/** Returns the rule that an RTM_NEWRULE describes. Throws WireError. */
export function decodePolicyRule({ payload }: Message): PolicyRule {
  if (payload.length < HEADER) throw new WireError("rule message cut short", payload.byteOffset)
  const { source, table, priority, suppressed } = attributes.read(payload, HEADER)
  return {
    source: source && { address: source, length: payload[2] as number },
    table: table ?? (payload[4] as number),
    priority: priority ?? 0,
    plain: source !== undefined && isPlain(payload, suppressed),
  }
}

/** Says if a rule that names a source says no more than to which table that leads. */
function isPlain(payload: Uint8Array, suppressed = NONE_SUPPRESSED): boolean {
  return (
    payload[1] === 0 && // length of a destination
    payload[3] === 0 && // type of service
    payload[7] === FR_ACT_TO_TBL &&
    ((payload[8] as number) & FIB_RULE_INVERT) === 0 &&
    suppressed === NONE_SUPPRESSED &&
    !hasOthers(payload.subarray(HEADER))
  )
}

/** Says if there are attributes that are not in the table above: each chooses packets, or says what to do with them. */
function hasOthers(bytes: Uint8Array): boolean {
  let found = false
  eachAttribute(bytes, (type) => {
    found ||= attributes.entryOf(type) === undefined
  })
  return found
}
