import "../../lib/sys/node/register.ts"
import fc from "fast-check"
import { afterAll, beforeEach, describe, expect, test } from "vitest"
import { ensureMasquerade, masqueradeRules, removeMasquerade } from "../../lib/attachment/masquerade.ts"
import { parseMac } from "../../lib/ip/mac.ts"
import { parsePrefix } from "../../lib/ip/prefix.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { Undo } from "../../lib/net/undo.ts"
import { Conversation, type Request, type Transport } from "../../lib/netlink/conversation.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { decodeMessages, NLMSG_ERROR } from "../../lib/netlink/message.ts"
import { SUBSYSTEM, typeOf, writeHeader } from "../../lib/netlink/netfilter/nfnetlink.ts"
import { transfer, verdict } from "../../lib/netlink/netfilter/phrase.ts"
import { appendRule, deleteRule, flushChain, insertRule, readTableRules } from "../../lib/netlink/netfilter/rule.ts"
import {
  type BaseChain,
  type Chain,
  deleteChain,
  ensureChain,
  ensureTable,
  listChains,
  MSG,
  readChain,
  type Table,
} from "../../lib/netlink/netfilter/ruleset.ts"
import {
  createElements,
  deleteElements,
  ensureElements,
  ensureSet,
  flushSet,
  hasElement,
  removeElements,
} from "../../lib/netlink/netfilter/set.ts"
import { readGeneration, transact } from "../../lib/netlink/netfilter/transaction.ts"
import { listLinks, readLink } from "../../lib/netlink/route/link.ts"
import { type Errno, errnoName } from "../../lib/sys/errno.ts"
import { NETLINK_NETFILTER, NetlinkSocket } from "../../lib/sys/netlink-socket.ts"
import { NetworkNamespace } from "../../lib/sys/netns.ts"
import { deleteSet } from "../../lib/testing/delete-set.ts"
import { FakeKernel } from "../../lib/testing/fake-kernel.ts"
import { FakeNftables } from "../../lib/testing/fake-nftables.ts"
import { FakeNode } from "../../lib/testing/fake-node.ts"
import { silentLog } from "../../lib/testing/silent-log.ts"
import { ensureMacGuard, removeMacGuard } from "../../plugins/bridge/mac-guard.ts"
import { ensureHostports, removeHostports } from "../../plugins/portmap/hostport/hostports.ts"
import { Node } from "./node.ts"

/*
 * The fake kernel of the tests beside the code answers as the real one: the same requests are made of both, and every answer, and the
 * state after them, is compared.
 */

const node = new Node()
const real = NetworkStack.pod(node.path)
afterAll(() => {
  real[Symbol.dispose]()
  node[Symbol.dispose]()
})

const TABLES: readonly Table[] = [
  { family: "ip", name: "one" },
  { family: "inet", name: "one" },
]

/** Keeps the error numbers of all answers, and of which request each is. */
class Listener implements Transport {
  readonly heard: string[] = []
  readonly #to: Transport

  constructor(to: Transport) {
    this.#to = to
  }

  send(message: Uint8Array): void {
    this.#to.send(message)
  }

  receive(): Uint8Array {
    const datagram = this.#to.receive()
    for (const { type, sequence, payload } of decodeMessages(datagram)) {
      const number = type === NLMSG_ERROR ? -new DataView(payload.buffer, payload.byteOffset).getInt32(0, true) : 0
      this.heard.push(`request ${sequence}: type ${type}, ${sameEverywhere(errnoName(number))}`)
    }
    return datagram
  }

  [Symbol.dispose](): void {
    this.#to[Symbol.dispose]()
  }
}

/** Takes EOPNOTSUPP for EEXIST: before Linux 6.4 the kernel says the latter of a base chain at another hook. */
function sameEverywhere(errno: Errno): Errno {
  return errno === "EOPNOTSUPP" ? "EEXIST" : errno
}

/** Removes all tables. */
function emptyRuleset(): void {
  const flush: Request = {
    asked: "flush the ruleset",
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.DELTABLE),
    write: (writer) => void writeHeader(writer, "unspec"),
  }
  transact(real.nfnetlink, () => [flush])
}

beforeEach(emptyRuleset)

/** Has both kernels do it, and expects the same answers and the same result of both. */
function expectAlike(ask: (nfnetlink: Conversation) => unknown): void {
  using namespace = new NetworkNamespace(node.path)
  const listeners = [
    new Listener(namespace.inside(() => new NetlinkSocket(NETLINK_NETFILTER))),
    new Listener(new FakeKernel(answering(new FakeNftables()))),
  ]
  const [byReal, byFake] = listeners.map((listener) => {
    using nfnetlink = new Conversation(listener)
    return { result: ask(nfnetlink), answers: listener.heard }
  })
  expect(byFake).toEqual(byReal)
}

function answering(nftables: FakeNftables): ConstructorParameters<typeof FakeKernel>[0] {
  return (message) => nftables.answer(message)
}

/** Returns what came of it, or why it was refused. */
function outcome(action: () => unknown): unknown {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    return `${sameEverywhere(error.errno)} to ${error.asked}`
  }
}

/** Lists the rules of a table, with all that a test may look at. */
function rulesIn(nfnetlink: Conversation, table: Table): unknown[] {
  return readTableRules(nfnetlink, table, (rule) => {
    const { handle, chain, comment, note, userData } = rule
    return { handle, chain, comment, note, userData, steps: rule.expressions() }
  })
}

const CHAINS = ["a", "b", "p"]
const hooked = (hook: BaseChain["hook"], more: Partial<BaseChain> = {}): BaseChain => ({
  type: "filter",
  hook,
  priority: 0,
  policy: "accept",
  ...more,
})
const SETS = ["inet_proto . inet_service", "ifname"] as const
const KEYS = {
  "inet_proto . inet_service": [1, 2, 3].map((port) => Uint8Array.of(6, 0, 0, 0, 0, port, 0, 0)),
  ifname: [1, 2, 3].map((digit) => new Uint8Array(16).fill(96 + digit, 0, 3)),
}

const table = fc.constantFrom(...TABLES)
const chain = fc.record({ table, name: fc.constantFrom(...CHAINS) })
const base = fc.constantFrom(
  undefined,
  hooked("input"),
  hooked("input", { policy: "drop" }),
  hooked("input", { priority: 1 }),
  hooked("output"),
  hooked("output", { type: "nat", priority: -100 }),
)
const set = fc.record({ table, name: fc.constantFrom("s", "t"), type: fc.constantFrom(...SETS) })
/** Later letters alone: no loops. */
const step = (from: string) =>
  fc.constantFrom(verdict("accept"), ...CHAINS.filter((to) => to > from).map((to) => transfer("jump", to)))
const said = fc.constantFrom(undefined, "mine", "yours")

const change: fc.Arbitrary<Iterable<Request>> = fc.oneof(
  table.map((one) => [ensureTable(one)]),
  fc.tuple(chain, base).map(([one, hook]) => [ensureChain({ ...one, base: hook })]),
  chain.map((one) => [deleteChain(one)]),
  chain.map((one) => [flushChain(one)]),
  chain.chain((one) =>
    fc
      .tuple(fc.constantFrom(appendRule, insertRule), step(one.name), said, said)
      .map(([make, what, comment, note]) => [make(one, { expressions: [what], comment, note })]),
  ),
  fc.tuple(chain, fc.bigInt(1n, 12n)).map(([one, handle]) => [deleteRule(one, handle)]),
  set.map((one) => [ensureSet(one)]),
  set.map((one) => [flushSet(one)]),
  set.map((one) => [deleteSet(one)]),
  fc
    .tuple(set, fc.constantFrom(createElements, deleteElements, ensureElements, removeElements), fc.subarray([0, 1, 2]))
    .map(([one, make, which]) => [
      ...make(
        one,
        which.map((at) => KEYS[one.type][at] ?? new Uint8Array()),
      ),
    ]),
)

/** Tables and chains without which most transactions would only meet what is missing. */
const START: readonly Request[] = TABLES.flatMap((one) => [
  ensureTable(one),
  ...CHAINS.slice(0, 2).map((name) => ensureChain({ table: one, name })),
  ensureChain({ table: one, name: "p", base: hooked("input") }),
  ensureSet({ table: one, name: "s", type: "ifname" }),
])

function stateOf(nfnetlink: Conversation): unknown {
  return TABLES.map((one) => ({
    listed: listChains(nfnetlink, one),
    rules: rulesIn(nfnetlink, one),
    chains: CHAINS.map((name) => readChain(nfnetlink, { table: one, name })),
    elements: ["s", "t"].map((name) =>
      SETS.map((type) =>
        KEYS[type].map((key) => outcome(() => hasElement(nfnetlink, { table: one, name, type }, key))),
      ),
    ),
  }))
}

test("any transactions are done or refused, and what is there afterwards is told, as by the kernel", () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
      (bare, all) => {
        emptyRuleset()
        expectAlike((nfnetlink) => {
          const first = readGeneration(nfnetlink)
          if (!bare) transact(nfnetlink, () => START)
          return all.map((changes) => [
            outcome(() => transact(nfnetlink, () => changes.flatMap((requests) => [...requests]))),
            readGeneration(nfnetlink) - first,
            stateOf(nfnetlink),
          ])
        })
      },
    ),
    { numRuns: 100 },
  )
})

describe("the kernel's reasons to refuse are the fake's:", () => {
  const [one = { family: "ip", name: "" }] = TABLES
  const [a, b, p, missing] = ["a", "b", "p", "missing"].map((name) => ({ table: one, name })) as [
    Named,
    Named,
    Named,
    Named,
  ]
  type Named = { table: Table; name: string }
  const names = { table: one, name: "s", type: "ifname" } as const
  const [first = new Uint8Array(), second = new Uint8Array()] = KEYS.ifname
  const nowhere: Table = { family: "ip", name: "nowhere" }
  const jump = (to: Named) => ({ expressions: [transfer("jump", to.name)] })

  test.each<[string, Errno | "done", readonly Request[]]>([
    ["a chain that rules lead to is deleted", "EBUSY", [appendRule(a, jump(b)), deleteChain(b)]],
    ["a chain with rules is deleted", "done", [appendRule(a, jump(b)), deleteChain(a)]],
    ["a chain that is missing is deleted", "ENOENT", [deleteChain(missing)]],
    ["a chain that is missing is emptied", "ENOENT", [flushChain(missing)]],
    ["a chain is made in a table that is missing", "ENOENT", [ensureChain({ table: nowhere, name: "a" })]],
    ["a chain is made that hangs elsewhere", "EEXIST", [ensureChain({ ...p, base: hooked("output") })]],
    ["a chain is made that hangs nowhere", "EEXIST", [ensureChain({ ...a, base: hooked("input") })]],
    ["a chain is made that hangs somewhere", "done", [ensureChain(p)]],
    ["a rule leads to a chain that is missing", "ENOENT", [appendRule(a, jump(missing))]],
    ["a rule leads to a base chain", "EEXIST", [appendRule(a, jump(p))]],
    ["a rule is deleted that is missing", "ENOENT", [deleteRule(a, 99n)]],
    ["a rule is deleted by another chain", "ENOENT", [appendRule(a, jump(b)), deleteRule(b, 5n)]],
    ["a set is made that is of another kind", "EEXIST", [ensureSet({ ...names, type: "inet_proto . inet_service" })]],
    ["a set is deleted that is missing", "ENOENT", [deleteSet({ ...names, name: "t" })]],
    ["an element is added twice", "EEXIST", [...createElements(names, [first]), ...createElements(names, [first])]],
    [
      "an element is deleted that is missing",
      "ENOENT",
      [...ensureElements(names, [first]), ...deleteElements(names, [second])],
    ],
    ["an element is too short for its set", "EINVAL", [...createElements(names, [Uint8Array.of(1)])]],
  ])("%s: %s", (_, errno, changes) => {
    expectAlike((nfnetlink) => {
      transact(nfnetlink, () => START)
      const result = outcome(() => transact(nfnetlink, () => changes)) ?? "done"
      expect(`${result}`).toMatch(new RegExp(`^${errno}\\b`))
      return [result, stateOf(nfnetlink)]
    })
  })
})

test("a transaction that was planned before another's is refused as a whole, and planned anew", () => {
  const [one = { family: "ip", name: "" }] = TABLES
  const own: Chain = { table: one, name: "a" }
  expectAlike((nfnetlink) => {
    transact(nfnetlink, () => START)
    let plans = 0
    transact(nfnetlink, () => {
      if (++plans < 3) transact(nfnetlink, () => [appendRule(own, { expressions: [verdict("drop")] })])
      return [flushChain(own), appendRule(own, { expressions: [verdict("accept")] })]
    })
    return [plans, stateOf(nfnetlink)]
  })
})

const attachment = (containerId: string, ifname = "eth0") => ({ network: "net", containerId, ifname })
const prefix = (of: string) => parsePrefix(of) ?? { address: { family: 4 as const, value: 0n }, length: 0 }
const MAC = parseMac("02:00:00:00:00:01") ?? new Uint8Array(6)

const ports = (of: string, hostPort: number) => ({
  family: 4 as const,
  netns: "/run/netns/pod",
  address: prefix(of).address,
  network: prefix(of),
  mappings: [{ protocol: "tcp" as const, hostPort, containerPort: 80 }],
  conditions: [],
  masquerade: "needed" as const,
})

describe("what is left of", () => {
  test.each<[string, readonly Table[], (stack: NetworkStack) => void]>([
    ...(["nftables", "iptables"] as const).map((backend): [string, readonly Table[], (stack: NetworkStack) => void] => [
      `masquerading by ${backend}`,
      [
        { family: "inet", name: "cni_plugins_masquerade" },
        { family: "ip", name: "nat" },
        { family: "ip6", name: "nat" },
      ],
      (stack) => {
        const masquerade = (id: string, ...addresses: string[]) =>
          ensureMasquerade(stack, {
            attachment: attachment(id),
            backend,
            addresses: addresses.map(prefix),
            undo: new Undo(),
            log: silentLog,
          })
        masquerade("a", "10.1.0.2/24", "fd00::2/64")
        masquerade("b", "10.1.0.3/24")
        removeMasquerade(stack, attachment("a"))
        masquerade("c", "10.1.0.4/24")
        masqueradeRules.collect(stack, "net", [attachment("b")])
      },
    ]),
    [
      "MAC guards",
      [{ family: "bridge", name: "nat" }],
      (stack) => {
        for (const id of ["a", "b", "a"]) ensureMacGuard(stack, attachment(id), `veth${id}`, MAC)
        removeMacGuard(stack, attachment("b"))
        ensureMacGuard(stack, attachment("c"), "vethc", MAC)
      },
    ],
    [
      "host ports",
      [{ family: "ip", name: "cni_hostport" }],
      (stack) => {
        for (const id of ["a", "b", "a"])
          ensureHostports(stack, attachment(id), [ports("10.1.0.2/24", id === "a" ? 1 : 2)])
        ensureHostports(stack, attachment("a", "eth1"), [ports("10.1.0.3/24", 1)])
        removeHostports(stack, attachment("a"))
      },
    ],
  ])("%s is the same in both", (_, tables, steps) => {
    using fake = new FakeNode()
    const [byReal, byFake] = [real, fake].map((stack) => {
      steps(stack)
      return tables.map((one) => rulesIn(stack.nfnetlink, one))
    })
    expect(byReal?.flat()).not.toEqual([])
    expect(byFake).toEqual(byReal)
  })
})

test("links are found by name and by index, and listed", () => {
  using fake = new FakeNode()
  node.run("ip", "link", "add", "br0", "type", "bridge")
  node.run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
  node.run("ip", "link", "set", "left", "alias", "cni-ts net a eth0", "master", "br0")
  for (const { index, name, kind, alias, master, peer } of listLinks(real.rtnetlink).links)
    fake.links.add({ index, name, kind, alias, master, peer })
  const brief = (link: ReturnType<typeof readLink>) =>
    link && [link.index, link.name, link.kind, link.alias, link.master, link.peer]
  const [byReal, byFake] = [real, fake].map(({ rtnetlink }) => {
    const { index = 0 } = readLink(rtnetlink, "left") ?? {}
    const found = ["left", "br0", "right", "nothing", index, 9999].map((key) => brief(readLink(rtnetlink, key)))
    const { links, partial } = listLinks(rtnetlink)
    return { found, links: links.map(brief), partial }
  })
  expect(byReal?.found[0]).toContain("cni-ts net a eth0")
  expect(byFake).toEqual(byReal)
})
