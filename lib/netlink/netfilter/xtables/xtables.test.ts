import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Address, type Family, parseAddress } from "../../../ip/address.ts"
import { type Prefix, parsePrefix } from "../../../ip/prefix.ts"
import { requestTree, type Shape } from "../../../testing/attribute-tree.ts"
import { recordingsIn } from "../../../testing/recorded.ts"
import type { Request } from "../../conversation.ts"
import { decodeMessages, encodeMessage, type Message } from "../../message.ts"
import { decodeSteps, encodeStep, type Step } from "../expression.ts"
import * as phrase from "../phrase.ts"
import { appendRule, decodeRule, insertRule } from "../rule.ts"
import { type Chain, ensureChain } from "../ruleset.ts"
import { decodeIptablesRule, destinationPortsIn } from "./decode.ts"
import { encodeIptablesRule } from "./encode.ts"
import { type Action, formatIptablesRule, type IptablesRule } from "./rule.ts"
import { iptablesChain } from "./tables.ts"

const found = (steps: readonly Step[], comment?: string) => ({ comment, expressions: () => steps.flatMap(decodeSteps) })

const [NLM_F_REQUEST, NEWCHAIN, NEWRULE] = [1, 0xa03, 0xa06]
const prefix = (text: string) => parsePrefix(text) as Prefix
const address = (text: string) => parseAddress(text) as Address

const CONTAINER = 'name: "net" id: "one"'
const MULTICAST = { 4: prefix("224.0.0.0/4"), 6: prefix("ff00::/8") }

/** By the command, what it says. */
const RULES: readonly [command: string, rule: IptablesRule][] = [
  [
    "iptables -t filter -I FORWARD 1 -m comment --comment 'CNI firewall plugin rules' -j F",
    { comment: "CNI firewall plugin rules", action: { jump: "F" } },
  ],
  [
    "iptables -t filter -A F -d 10.1.2.3/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    { destination: prefix("10.1.2.3/32"), established: true, action: { verdict: "accept" } },
  ],
  [
    "iptables -t filter -A F -s 10.1.2.3/32 -j ACCEPT",
    { source: prefix("10.1.2.3/32"), action: { verdict: "accept" } },
  ],
  [
    "iptables -t filter -A F -i cni0 '!' -o cni0 -j A -m comment --comment '(ingressPolicy: same-bridge|isolated)'",
    {
      fromInterface: "cni0",
      notToInterface: "cni0",
      comment: "(ingressPolicy: same-bridge|isolated)",
      action: { jump: "A" },
    },
  ],
  [
    "iptables -t filter -A F -i cni0 -o cni0 -j DROP",
    { fromInterface: "cni0", toInterface: "cni0", action: { verdict: "drop" } },
  ],
  [
    "iptables -t filter -A F -j RETURN -m comment --comment returns",
    { comment: "returns", action: { verdict: "return" } },
  ],
  [
    `iptables -t nat -A POSTROUTING -s 10.1.2.3 -j M -m comment --comment '${CONTAINER}'`,
    { source: prefix("10.1.2.3/32"), comment: CONTAINER, action: { jump: "M" } },
  ],
  [
    `iptables -t nat -A M -d 10.1.2.3/24 -j ACCEPT -m comment --comment '${CONTAINER}'`,
    { destination: prefix("10.1.2.3/24"), comment: CONTAINER, action: { verdict: "accept" } },
  ],
  [
    `iptables -t nat -A M '!' -d 224.0.0.0/4 -j MASQUERADE -m comment --comment '${CONTAINER}'`,
    { notDestination: MULTICAST[4], comment: CONTAINER, action: { masquerade: true } },
  ],
  ["iptables -t nat -A M -m mark --mark 0x2000/0x2000 -j MASQUERADE", { marked: 0x2000, action: { masquerade: true } }],
  [
    "iptables -t nat -A S -m comment --comment mark -j MARK --set-xmark 0x2000/0x2000",
    { comment: "mark", action: { mark: 0x2000 } },
  ],
  ["iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j D", { toThisHost: true, action: { jump: "D" } }],
  [
    `iptables -t nat -A D -m comment --comment 'dnat ${CONTAINER}' -m multiport -p tcp --destination-ports 8080,8443 -j S`,
    { comment: `dnat ${CONTAINER}`, protocol: 6, destinationPorts: [8080, 8443], action: { jump: "S" } },
  ],
  [
    "iptables -t nat -A D -p tcp --dport 8080 -d 192.0.2.1 -s 10.1.2.3/24 -j S",
    {
      protocol: 6,
      destinationPort: 8080,
      destination: prefix("192.0.2.1/32"),
      source: prefix("10.1.2.3/24"),
      action: { jump: "S" },
    },
  ],
  [
    "iptables -t nat -A D -p udp --dport 53 -s 0.0.0.0/0 -j S",
    { protocol: 17, destinationPort: 53, source: prefix("0.0.0.0/0"), action: { jump: "S" } },
  ],
  [
    "iptables -t nat -A D -p sctp --dport 9999 -s 127.0.0.1 -j S",
    { protocol: 132, destinationPort: 9999, source: prefix("127.0.0.1/32"), action: { jump: "S" } },
  ],
  [
    "iptables -t nat -A D -p tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80",
    { protocol: 6, destinationPort: 8080, action: { dnat: { address: address("10.1.2.3"), port: 80 } } },
  ],
  [
    "ip6tables -t filter -A F -d fd00::2/128 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    { destination: prefix("fd00::2/128"), established: true, action: { verdict: "accept" } },
  ],
  [
    "ip6tables -t nat -A M '!' -d ff00::/8 -j MASQUERADE",
    { notDestination: MULTICAST[6], action: { masquerade: true } },
  ],
  [
    "ip6tables -t nat -A D -p tcp --dport 8080 -d fd00::9 -s fd00::2/61 -j S",
    {
      protocol: 6,
      destinationPort: 8080,
      destination: prefix("fd00::9/128"),
      source: prefix("fd00::2/61"),
      action: { jump: "S" },
    },
  ],
  [
    "ip6tables -t nat -A D -p tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80",
    { protocol: 6, destinationPort: 8080, action: { dnat: { address: address("fd00::2"), port: 80 } } },
  ],
]

const familyOf = (command: string): Family => (command.startsWith("ip6") ? 6 : 4)

/** The messages of that type that this version of iptables sent. */
function sent(version: string, command: string, wanted: number): Message[] {
  const found = recordingsIn(`netfilter/fixtures/iptables-${version}.json`).find((call) => call.command === command)
  if (!found) throw new Error(`not recorded: ${command}`)
  return decodeMessages(found.request).filter(({ type }) => type === wanted)
}

function bytesOf({ type, flags, payload }: Message): Uint8Array {
  return encodeMessage({ type, flags, sequence: 0 }, (writer) => writer.raw(payload))
}

function ours({ type, flags = 0, write }: Request): Uint8Array {
  return encodeMessage({ type, flags: flags | NLM_F_REQUEST, sequence: 0 }, write)
}

/** Of each step, the attributes are compared, in whatever order they come. */
const ruleShape: Shape = {
  header: 4,
  nested: {
    1: "text",
    2: "text",
    4: { nested: { 1: "step" } },
    5: { nested: {} },
  },
}

const alike = (request: Uint8Array) => requestTree(request, ruleShape)

describe("says what iptables 1.8.7 says, and what all later versions read", () => {
  test.each(RULES)("%s", (command, rule) => {
    const [, table = "", way, name = ""] = /-t (\w+) (-\w) (\w+)/.exec(command) ?? []
    const chain = { table: { family: familyOf(command) === 4 ? "ip" : "ip6", name: table }, name } as const
    const request = (way === "-I" ? insertRule : appendRule)(chain, encodeIptablesRule(rule, familyOf(command)))
    expect(sent("1.8.7", command, NEWRULE).map(bytesOf).map(alike)).toEqual([alike(ours(request))])
  })

  test.each<[string, Chain]>([
    [
      "iptables -t filter -I FORWARD 1 -m comment --comment 'CNI firewall plugin rules' -j F",
      iptablesChain(4, "filter", "FORWARD"),
    ],
    [
      `iptables -t nat -A POSTROUTING -s 10.1.2.3 -j M -m comment --comment '${CONTAINER}'`,
      iptablesChain(4, "nat", "POSTROUTING"),
    ],
    ["iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j D", iptablesChain(4, "nat", "PREROUTING")],
  ])("the chain of %s, but for a policy: ours would replace that of a chain that is there", (command, chain) => {
    const shape: Shape = { header: 4, nested: { 1: "text", 3: "text", 4: { nested: {} }, 7: "text" } }
    const [theirs] = sent("1.8.7", command, NEWCHAIN).map((message) => requestTree(bytesOf(message), shape))
    expect(theirs).toEqual({ ...requestTree(ours(ensureChain(chain)), shape), 5: "00000001" })
  })
})

describe("reads what iptables says", () => {
  const cases = ["1.8.7", "1.8.9", "1.8.11"].flatMap((version) =>
    RULES.map(([command, rule]) => [version, command, rule] as const),
  )

  test.each(cases)("%s: %s", (version, command, rule) => {
    const family = familyOf(command)
    const [found] = sent(version, command, NEWRULE).map(decodeRule)
    const read = found && decodeIptablesRule(found, family)
    expect(read && formatIptablesRule(read)).toBe(formatIptablesRule(rule))
  })

  test("the comment where the first versions keep it", () => {
    const rule: IptablesRule = { source: prefix("10.1.2.3/32"), action: { jump: "M" } }
    const { expressions } = encodeIptablesRule(rule, 4)
    expect(decodeIptablesRule(found(expressions, CONTAINER), 4)).toEqual({ ...rule, comment: CONTAINER })
  })
})

describe("takes for none of its own", () => {
  const jump = phrase.transfer("jump", "M")
  const tcp = phrase.ofProtocol(6)
  const match = (name: string, info: Uint8Array, revision = 0) =>
    encodeStep({ name: "match", data: { name, revision, info } })

  test.each<[string, Step[]]>([
    ["a rule that does nothing", [...tcp]],
    [
      "one that asks for two sources",
      [...phrase.source(prefix("10.0.0.0/8")), ...phrase.source(prefix("10.1.0.0/16")), jump],
    ],
    ["one that asks for what is not known", [...phrase.redirected(), jump]],
    ["an unknown expression", [encodeStep({ name: "limit", data: undefined } as never), jump]],
    ["an unknown extension", [match("statistic", new Uint8Array(32)), jump]],
    ["another revision", [match("comment", new Uint8Array(256), 1), jump]],
    ["a structure cut short", [...tcp, match("tcp", new Uint8Array(3)), jump]],
    ["a comment without end", [match("comment", new Uint8Array(256).fill(65)), jump]],
    ["a comment that is not UTF-8", [match("comment", new Uint8Array(256).fill(0xff, 0, 255)), jump]],
    ["ports of another protocol than the rule's", [...tcp, match("udp", new Uint8Array(16)), jump]],
    [
      "a range of ports",
      [...tcp, match("tcp", Uint8Array.of(0, 0, 255, 255, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0)), jump],
    ],
    ["a name that only begins so", [phrase.loadMeta("iifname"), phrase.compare(Uint8Array.of(99, 110, 105)), jump]],
    ["a comparison of what is not known", [phrase.compare(Uint8Array.of(6)), jump]],
    ["a protocol that it must not be", [phrase.loadMeta("l4proto"), phrase.compare(Uint8Array.of(6), true), jump]],
    ["a goto", [phrase.transfer("goto", "M")]],
    ["a bit of several in a mark", [...phrase.withMark(1, 3), jump]],
  ])("%s", (_, expressions) => {
    expect(decodeIptablesRule(found(expressions), 4)).toBeUndefined()
  })

  test("the bits of a mark by nf_tables' own expressions are not among them", () => {
    expect(decodeIptablesRule(found([...phrase.withMark(2, 2), jump]), 4)).toEqual({ marked: 2, action: { jump: "M" } })
  })
})

const port = fc.integer({ min: 1, max: 65535 })
const bit = fc.integer({ min: 0, max: 31 }).map((shift) => (1 << shift) >>> 0)
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,14}$/)
const text = fc.string({ maxLength: 60, unit: "grapheme" }).filter((value) => !value.includes("\0"))

function anyRule(family: Family): fc.Arbitrary<IptablesRule> {
  const value = family === 4 ? fc.bigInt(0n, 2n ** 32n - 1n) : fc.bigInt(0n, 2n ** 128n - 1n)
  const anyAddress = value.map((value): Address => ({ family, value }))
  const network = fc.record({ address: anyAddress, length: fc.integer({ min: 1, max: family === 4 ? 32 : 128 }) })
  const action = fc.oneof<fc.Arbitrary<Action>[]>(
    fc.record({ verdict: fc.constantFrom("accept", "drop", "return") }),
    fc.record({ jump: name }),
    fc.record({ mark: bit }),
    fc.constant({ masquerade: true }),
    fc.record({ dnat: fc.record({ address: anyAddress, port }) }),
  )
  const optional = {
    source: network,
    notDestination: network,
    notFromInterface: name,
    toInterface: name,
    comment: text,
    established: fc.constant(true as const),
  }
  const more = {
    destinationPort: port,
    destinationPorts: fc.array(port, { minLength: 1, maxLength: 15 }),
    toThisHost: fc.constant(true as const),
    marked: bit,
  }
  return fc.record(
    { ...optional, ...more, protocol: fc.constantFrom(6, 17, 132), action },
    { requiredKeys: ["protocol", "action"] },
  )
}

test.each([4, 6] as const)("what is written is read back: IPv%d", (family) => {
  fc.assert(
    fc.property(anyRule(family), (rule) => {
      const read = decodeIptablesRule(found(encodeIptablesRule(rule, family).expressions), family)
      expect(read && formatIptablesRule(read)).toBe(formatIptablesRule(rule))
    }),
  )
})

test("what iptables does not take is refused", () => {
  const refused = (rule: Partial<IptablesRule>) => () => encodeIptablesRule({ action: { jump: "M" }, ...rule }, 4)
  expect(refused({ comment: "é".repeat(128) })).toThrow(RangeError)
  expect(refused({ destinationPort: 80 })).toThrow(RangeError)
  expect(refused({ protocol: 6, destinationPorts: Array(16).fill(80) })).toThrow(RangeError)
})

test("the ports of -m multiport are found without the rest of the rule", () => {
  const steps = (rule: IptablesRule) => Buffer.concat(encodeIptablesRule(rule, 4).expressions)
  const action = { jump: "S" }
  const ports = [1, 65535]
  expect(destinationPortsIn(steps({ comment: "x", protocol: 6, destinationPorts: ports, action }))).toEqual(ports)
  expect(destinationPortsIn(steps({ comment: "multiport", protocol: 6, destinationPort: 1, action }))).toBeUndefined()
})
