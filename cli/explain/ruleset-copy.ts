import { attributeSet, be32, be64, eachAttribute, nested, text } from "../../lib/netlink/attribute.ts"
import type { Conversation, Request } from "../../lib/netlink/conversation.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { type Message, NLM_F_APPEND, NLM_F_CREATE } from "../../lib/netlink/message.ts"
import { HEADER, type NetfilterFamily, SUBSYSTEM, typeOf, writeHeader } from "../../lib/netlink/netfilter/nfnetlink.ts"
import { readRule } from "../../lib/netlink/netfilter/read-rule.ts"
import { decodeRule } from "../../lib/netlink/netfilter/rule.ts"
import { MSG } from "../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../lib/netlink/netfilter/transaction.ts"
import { decodeIptablesRule } from "../../lib/netlink/netfilter/xtables/decode.ts"
import { host } from "../../lib/sys/host.ts"

/** The tables of nf_tables that plugins change, with what they look at in them: the messages that describe it. */
export type RulesetCopy = readonly TableCopy[]

interface TableCopy {
  readonly family: NetfilterFamily
  readonly name: string
  /** In the order in which they are made. */
  readonly objects: readonly ObjectCopy[]
}

interface ObjectCopy {
  /** NFT_MSG_NEW* */
  readonly message: number
  readonly payload: Uint8Array
}

/** NFPROTO_*: the families of tables that plugins have rules in. */
const FAMILIES: Readonly<Record<number, NetfilterFamily>> = { 1: "inet", 2: "ip", 7: "bridge", 10: "ip6" }

/** Tables that are the plugins' own, and those of iptables that some of them use. */
const isOwn = (table: string) => table.startsWith("cni_")
const isWanted = (table: string) => isOwn(table) || table === "filter" || table === "nat"

/** Of a table of iptables, the chains whose rules plugins look at: thousands of a service's may be beside them. */
const CHAINS = /^(?:INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING|CNI-.*|cni-.*)$/

/** NFTA_*: of a description the attributes that also describe what is to be made. Others are the kernel's: handles, counts of users. */
const KEPT: Readonly<Record<number, readonly number[]>> = {
  [MSG.NEWTABLE]: [1, 2, 6],
  [MSG.NEWCHAIN]: [1, 3, 4, 5, 7, 10, 12],
  [MSG.NEWSET]: [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13],
  [MSG.NEWSETELEM]: [1, 2, 3],
  [MSG.NEWRULE]: [1, 2, 4, 5, 7],
}

/** NFT_MSG_GETSET */
const GETSET = 10
const NFTA_SET_ID = 10

/** Reads the tables; none if the kernel has no nf_tables. */
export function readRuleset(nfnetlink: Conversation): RulesetCopy {
  return listTables(nfnetlink).flatMap(({ family, name }) => (isWanted(name) ? readTable(nfnetlink, family, name) : []))
}

/** Returns true if there are rules of firewalld. */
export function hasFirewalld(nfnetlink: Conversation): boolean {
  return listTables(nfnetlink).some(({ name }) => name === "firewalld")
}

function listTables(nfnetlink: Conversation): { readonly family: NetfilterFamily; readonly name: string }[] {
  const type = typeOf(SUBSYSTEM.NFTABLES, MSG.GETTABLE)
  const request: Request = { asked: "list tables", type, write: (writer) => void writeHeader(writer, "unspec") }
  try {
    return nfnetlink.dump(request, copied).values.flatMap((message) => {
      const family = FAMILIES[message.payload[0] ?? 0]
      return family ? [{ family, name: namesIn(message).table ?? "" }] : []
    })
  } catch (error) {
    if (error instanceof KernelError) return []
    throw error
  }
}

/** NFTA_*_TABLE, and behind it the name of a set, or of a rule's chain. */
const names = attributeSet({ table: [1, text, "NFTA_RULE_TABLE"], of: [2, text, "NFTA_RULE_CHAIN"] })

function readTable(nfnetlink: Conversation, family: NetfilterFamily, table: string): TableCopy {
  const request = (message: number, of?: string): Request => ({
    asked: `read table ${family} ${table}`,
    type: typeOf(SUBSYSTEM.NFTABLES, message),
    write: (writer) => names.write(writeHeader(writer, family), { table, of }),
  })
  const all = (message: number, of?: string) =>
    nfnetlink.dump(request(message, of), copied).values.filter((found) => namesIn(found).table === table)
  const first = nfnetlink.get(request(MSG.GETTABLE), copied)
  const sets = all(GETSET)
  const elements = sets.flatMap((set) => all(MSG.GETSETELEM, namesIn(set).of))
  const objects = [
    ...copies(MSG.NEWTABLE, [first]),
    ...copies(MSG.NEWCHAIN, all(MSG.GETCHAIN)),
    ...copies(MSG.NEWSET, sets),
    ...copies(MSG.NEWSETELEM, elements),
    ...copies(
      MSG.NEWRULE,
      all(MSG.GETRULE).filter((rule) => isOwn(table) || CHAINS.test(namesIn(rule).of ?? "")),
    ),
  ]
  return { family, name: table, objects }
}

/** Returns a copy that outlives the receive buffer. */
function copied(message: Message): Message {
  return { ...message, payload: message.payload.slice() }
}

function namesIn({ payload }: Message) {
  return names.read(payload.subarray(HEADER))
}

function copies(message: number, messages: readonly Message[]): ObjectCopy[] {
  return messages.map(({ payload }) => ({ message, payload }))
}

/** Makes the tables again, in another namespace. Returns what the kernel does not take, in words. */
export function writeRuleset(nfnetlink: Conversation, ruleset: RulesetCopy): string[] {
  return ruleset.flatMap((table) => {
    const requests = table.objects.map((object, index) => request(table, object, index + 1))
    if (isTaken(nfnetlink, requests)) return []
    const refused = requests.filter((each) => !isTaken(nfnetlink, [each])).length
    return refused > 0
      ? [`${refused} rules or sets of table ${table.family} ${table.name} are left out: they cannot be copied`]
      : []
  })
}

function isTaken(nfnetlink: Conversation, requests: readonly Request[]): boolean {
  try {
    transact(nfnetlink, () => requests)
    return true
  } catch (error) {
    if (error instanceof KernelError) return false
    throw error
  }
}

function request({ family, name }: TableCopy, { message, payload }: ObjectCopy, id: number): Request {
  return {
    asked: `copy table ${family} ${name}`,
    type: typeOf(SUBSYSTEM.NFTABLES, message),
    flags: NLM_F_CREATE | (message === MSG.NEWRULE ? NLM_F_APPEND : 0),
    write: (writer) => {
      writeHeader(writer, family)
      const rest = payload.subarray(HEADER)
      eachAttribute(rest, (type, start, end) => {
        if (KEPT[message]?.includes(type)) writer.raw(rest.subarray(start - 4, end)).align()
      })
      if (message === MSG.NEWSET) writer.u16(8).u16(NFTA_SET_ID).be32(id)
      const protocol = message === MSG.NEWRULE ? protocolOf(payload, family) : undefined
      if (protocol !== undefined) ofRule.write(writer, { compat: { protocol, flags: 0 } })
    },
  }
}

/** NFTA_RULE_COMPAT: extensions of xtables ask for the rule's protocol, which the kernel does not tell. */
const compat = attributeSet({
  protocol: [1, be32, "NFTA_RULE_COMPAT_PROTO"],
  flags: [2, be32, "NFTA_RULE_COMPAT_FLAGS"],
})
const ofRule = attributeSet({ compat: [5, nested(compat), "NFTA_RULE_COMPAT"] })

/** The names of xtables' extensions, as they lie in a rule's expressions. */
const EXTENSIONS = ["match\0", "target\0"]

function protocolOf(payload: Uint8Array, family: NetfilterFamily): number | undefined {
  const words = host.decode(payload)
  if (!EXTENSIONS.some((name) => words.includes(name))) return undefined
  const rule = decodeRule({ type: 0, flags: 0, sequence: 0, payload })
  const read = family === "ip" || family === "ip6" ? decodeIptablesRule(rule, family === "ip" ? 4 : 6) : undefined
  return read?.protocol ?? readRule(rule.expressions()).protocol
}

const handleAttribute = attributeSet({ handle: [3, be64, "NFTA_RULE_HANDLE"] })

/** Returns the handle of each rule of the node by that of its copy, which are in the same order; by table. */
export function pairHandles(node: RulesetCopy, copy: RulesetCopy): ReadonlyMap<string, ReadonlyMap<string, string>> {
  return new Map(
    node.map((table) => {
      const other = copy.find(({ family, name }) => family === table.family && name === table.name)
      const [theirs, ours] = [handlesIn(table), other ? handlesIn(other) : []]
      const pairs =
        theirs.length === ours.length ? ours.map((handle, index) => [handle, theirs[index] ?? ""] as const) : []
      return [`${table.family} ${table.name}`, new Map(pairs)]
    }),
  )
}

function handlesIn({ objects }: TableCopy): string[] {
  const rules = objects.filter(({ message }) => message === MSG.NEWRULE)
  return rules.map(({ payload }) => String(handleAttribute.read(payload.subarray(HEADER)).handle))
}
