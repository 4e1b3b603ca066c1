import { parseAddress } from "../../../lib/ip/address.ts"
import { WireError } from "../../../lib/netlink/attribute.ts"
import { Conversation, type Request, type Transport } from "../../../lib/netlink/conversation.ts"
import { KernelError } from "../../../lib/netlink/kernel-error.ts"
import { encodeMessage } from "../../../lib/netlink/message.ts"
import { findFlows } from "../../../lib/netlink/netfilter/conntrack.ts"
import { dnat, masquerade, source, transfer } from "../../../lib/netlink/netfilter/phrase.ts"
import { readRule } from "../../../lib/netlink/netfilter/read-rule.ts"
import { appendRule, listRules, readTableRules } from "../../../lib/netlink/netfilter/rule.ts"
import { ensureChain, readChain, type Table } from "../../../lib/netlink/netfilter/ruleset.ts"
import { readGeneration } from "../../../lib/netlink/netfilter/transaction.ts"
import { decodeIptablesRule } from "../../../lib/netlink/netfilter/xtables/decode.ts"
import { encodeIptablesRule } from "../../../lib/netlink/netfilter/xtables/encode.ts"
import { listAddresses } from "../../../lib/netlink/route/address.ts"
import { listLinks, readLink } from "../../../lib/netlink/route/link.ts"
import { readPortVlans } from "../../../lib/netlink/route/port-vlan.ts"
import { listRoutes, lookupRoute } from "../../../lib/netlink/route/route.ts"
import { listPolicyRules } from "../../../lib/netlink/route/rule.ts"
import { listWholeRoutes } from "../../../lib/netlink/route/whole-route.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import { recordings } from "../../../lib/testing/recorded.ts"
import { damagedBytes } from "./damage.ts"
import type { Target } from "./target.ts"

/** Answers every request with the same datagram, once with the end of a dump behind it, and then falls silent. */
class Parrot implements Transport {
  readonly #datagram: Uint8Array
  #left: Uint8Array[] = []

  constructor(hex: string) {
    this.#datagram = Buffer.from(hex, "hex")
  }

  send(request: Uint8Array): void {
    const sequence = new DataView(request.buffer, request.byteOffset).getUint32(8, true)
    const answer = this.#datagram.slice()
    if (answer.length >= 12) new DataView(answer.buffer).setUint32(8, sequence, true)
    this.#left = [answer, encodeMessage({ type: 3, flags: 2, sequence }, (writer) => writer.u32(0))]
  }

  receive(): Uint8Array {
    const next = this.#left.shift()
    if (!next) throw new SystemError("ETIMEDOUT", "receive from the kernel")
    return next
  }

  [Symbol.dispose](): void {}
}

const TABLE: Table = { family: "ip", name: "cni_hostport" }
const CHAIN = { table: TABLE, name: "hostports" }
const WHERE = [parseAddress("10.1.2.3")].filter((address) => address !== undefined)

const routing: readonly ((rtnetlink: Conversation) => unknown)[] = [
  (rtnetlink) => readLink(rtnetlink, "eth0"),
  (rtnetlink) => listLinks(rtnetlink),
  (rtnetlink) => listAddresses(rtnetlink, 1),
  (rtnetlink) => listRoutes(rtnetlink, 4, 254),
  (rtnetlink) => listRoutes(rtnetlink, 6, 254),
  (rtnetlink) => listWholeRoutes(rtnetlink),
  (rtnetlink) => listPolicyRules(rtnetlink),
  (rtnetlink) => readPortVlans(rtnetlink, 1),
  (rtnetlink) => WHERE.map((address) => lookupRoute(rtnetlink, address)),
]

const filtering: readonly ((rtnetlink: Conversation) => unknown)[] = [
  (rtnetlink) => listRules(rtnetlink, CHAIN).map((rule) => readRule(rule.expressions())),
  (rtnetlink) => listRules(rtnetlink, CHAIN).map((rule) => decodeIptablesRule(rule, 4)),
  (rtnetlink) => readTableRules(rtnetlink, TABLE, (rule) => readRule(rule.expressions())),
  (rtnetlink) => readChain(rtnetlink, CHAIN),
  (rtnetlink) => readGeneration(rtnetlink),
  (rtnetlink) => findFlows(rtnetlink, { family: 4, protocol: 17, destinationPorts: new Set([53, 54]) }, () => true, 9),
]

/** Each ends in a value, in a refusal, or waits no longer than it should. */
function askAll(questions: readonly ((rtnetlink: Conversation) => unknown)[], hex: string): void {
  for (const ask of questions) {
    try {
      ask(new Conversation(new Parrot(hex)))
    } catch (error) {
      if (!(error instanceof WireError || error instanceof KernelError || error instanceof SystemError)) throw error
    }
  }
}

/** Returns a rule as nf_tables prints it: as it was told, but for the handle. */
function dumped({ type, write }: Request): Uint8Array {
  return encodeMessage({ type, flags: 2, sequence: 1 }, write)
}

const address = Uint8Array.from([10, 1, 2, 3])
const prefixes = WHERE.map((ip) => ({ address: ip, length: 24 }))
const rules = [
  appendRule(CHAIN, {
    expressions: [...prefixes.flatMap((prefix) => source(prefix)), masquerade],
    comment: "a, net: net",
  }),
  appendRule(CHAIN, { expressions: dnat(address, 80), comment: "b".repeat(120), note: "eth0" }),
  appendRule(CHAIN, { expressions: [transfer("jump", "other")] }),
  appendRule(CHAIN, encodeIptablesRule({ comment: "c", protocol: 132, destinationPort: 80, action: { mark: 1 } }, 4)),
  appendRule(
    CHAIN,
    encodeIptablesRule({ fromInterface: "cni0", destinationPorts: [80, 81], action: { jump: "other" } }, 4),
  ),
  ensureChain({ ...CHAIN, base: { type: "nat", hook: "prerouting", priority: -100, policy: "accept" } }),
].map(dumped)

export const kernelTargets: readonly Target[] = [
  {
    name: "answers of the kernel's routing",
    inputs: damagedBytes(recordings.flatMap(({ replies }) => replies)),
    check: (hex) => askAll(routing, hex),
  },
  { name: "dumps of nf_tables", inputs: damagedBytes(rules), check: (hex) => askAll(filtering, hex) },
]
