import { beforeEach, describe, expect, test } from "vitest"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Request } from "../../../lib/netlink/conversation.ts"
import { transfer } from "../../../lib/netlink/netfilter/phrase.ts"
import { appendRule, deleteRule, flushChain, listRules, type Rule } from "../../../lib/netlink/netfilter/rule.ts"
import { type Chain, deleteChain, ensureChain, ensureTable } from "../../../lib/netlink/netfilter/ruleset.ts"
import { transact } from "../../../lib/netlink/netfilter/transaction.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"
import { FakeNode } from "../../../lib/testing/fake-node.ts"
import { podMappings, portmapConfig, tcp } from "../../../lib/testing/host-ports.ts"
import type { Match } from "../packet-match.ts"
import { ensureHostports } from "./hostports.ts"
import { layoutOf } from "./layout.ts"
import { findAnchors } from "./pod-anchor.ts"
import { hostportMasqueradeRules, mappingRule } from "./pod-rules.ts"
import { tagOf } from "./rule-tag.ts"
import { findDifference } from "./verify.ts"

const layout = layoutOf(4)
const { hostports, masquerading } = layout
const attachment: Attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }
const conditions: Match[] = [{ field: "iifname", name: "eth9", not: false }]
const wanted = podMappings("10.1.0.2/24", [tcp(80), tcp(81, "192.0.2.1")], { conditions })

let node: FakeNode
beforeEach(() => {
  node = new FakeNode()
})

const change = (changes: Iterable<Request>) => transact(node.nfnetlink, () => changes)
const difference = (pod = wanted, of = attachment) =>
  findDifference(node, of, portmapConfig({ backend: "nftables" }), pod)
const add = (
  chain: Chain,
  expressions: Rule["expressions"],
  mark: Partial<ReturnType<typeof tagOf>> = tagOf(attachment),
) => change([appendRule(chain, { expressions, ...mark })])

function removeRule(chain: Chain, at: number): void {
  const { handle = 0n } = listRules(node.nfnetlink, chain)[at] ?? {}
  change([deleteRule(chain, handle)])
}

describe("what ADD left", () => {
  beforeEach(() => ensureHostports(node, attachment, [wanted]))

  test("differs in nothing", () => {
    expect(difference()).toBeUndefined()
    expect(difference(podMappings("10.1.0.2/24", [tcp(80), tcp(81, "192.0.2.1"), tcp(80)], { conditions }))).toContain(
      "80/tcp",
    )
  })

  test("differs from other wishes", () => {
    const other = (more: Partial<typeof wanted>) => difference({ ...wanted, ...more })
    expect(other({ mappings: [tcp(80), tcp(82)] })).toBe(
      "the rule for host port 82/tcp is missing in table ip cni_hostport",
    )
    expect(other({ mappings: [tcp(80), tcp(81)] })).toContain("host port 81/tcp is missing")
    expect(other({ mappings: [tcp(80, undefined, 8080)] })).toContain("host port 80/tcp is missing")
    expect(other({ mappings: [tcp(80)] })).toContain("a rule too many for port 81")
    expect(other({ conditions: [] })).toContain("host port 80/tcp is missing")
    expect(other({ masquerade: "all" })).toBe("a rule is missing in chain masquerading of table ip cni_hostport")
    expect(other({ masquerade: "none" })).toContain("a rule too many in chain masquerading")
    expect(difference(podMappings("10.1.0.3/24", wanted.mappings, { conditions }))).toContain("is missing")
  })

  test.each<[string, () => void, string]>([
    ["a rule is gone", () => removeRule(hostports, 1), "the rule for host port 192.0.2.1:81/tcp is missing"],
    ["all rules are gone", () => change([flushChain(hostports)]), "the rule for host port 80/tcp is missing"],
    ["a masquerading rule is gone", () => removeRule(masquerading, 0), "a rule is missing in chain masquerading"],
    [
      "a rule has lost its conditions",
      () => {
        removeRule(hostports, 0)
        add(hostports, mappingRule({ ...wanted, conditions: [] }, tcp(80)))
      },
      "the rule for host port 80/tcp is missing",
    ],
    ...layout.shared.map(({ chain }): [string, () => void, string] => [
      `the rules of ${chain.name} are gone`,
      () => change([flushChain(chain)]),
      `is missing in chain ${chain.name}`,
    ]),
  ])("is told to differ if %s", (_, harm, problem) => {
    harm()
    expect(difference()).toContain(problem)
  })
})

test.each<[string, () => void, string]>([
  ["a rule is there twice", () => add(hostports, mappingRule(wanted, tcp(80))), "a rule too many for port 80"],
  [
    "a rule leads to another port",
    () => add(hostports, mappingRule(wanted, tcp(90, undefined, 91))),
    "a rule too many for port 90",
  ],
  [
    "a masquerading rule is there twice",
    () => add(masquerading, hostportMasqueradeRules(wanted)[0] ?? []),
    "a rule too many in chain masquerading",
  ],
])("rules without an anchor, as of earlier builds, are told to differ if %s", (_, harm, problem) => {
  ensureHostports(node, attachment, [wanted])
  change(findAnchors(node.nfnetlink, layout, [tagOf(attachment)]).map(deleteChain))
  expect(difference()).toBeUndefined()
  harm()
  expect(difference()).toContain(problem)
})

test("rules that somebody adds beside those of ADD are not looked for", () => {
  ensureHostports(node, attachment, [wanted])
  add(hostports, mappingRule(wanted, tcp(90)))
  expect(difference()).toBeUndefined()
})

test.each<[string, Attachment]>([
  ["network", { ...attachment, network: "other" }],
  ["interface", { ...attachment, ifname: "net1" }],
])("the rules of the container's other %s are not taken for this one's", (_, other) => {
  const others = podMappings("10.2.0.2/24", [tcp(80)])
  ensureHostports(node, attachment, [wanted])
  ensureHostports(node, other, [others])
  expect(difference()).toBeUndefined()
  expect(difference(others, other)).toBeUndefined()
  removeRule(hostports, 0)
  expect(difference()).toContain("host port 80/tcp is missing")
  expect(difference(others, other)).toBeUndefined()
})

test("a port that is wanted twice has two rules", () => {
  const twice = podMappings("10.1.0.2/24", [tcp(80), tcp(80)])
  ensureHostports(node, attachment, [twice])
  expect(difference(twice)).toBeUndefined()
  removeRule(hostports, 0)
  expect(difference(twice)).toContain("is missing")
})

describe("rules of the Go plugin will do", () => {
  const bare = { comment: attachment.containerId, note: undefined }

  test("though it has the conditions in its shared rules, and other masquerading rules", () => {
    ensureHostports(node, { ...attachment, containerId: "c2" }, [podMappings("10.1.0.3/24", [tcp(99)])])
    for (const mapping of wanted.mappings)
      add(hostports, mappingRule({ ...wanted, conditions: [] }, mapping), bare as { comment: string })
    expect(difference()).toContain("a rule is missing in chain masquerading")
    add(masquerading, hostportMasqueradeRules({ ...wanted, masquerade: "all" })[2] ?? [], bare as { comment: string })
    expect(difference()).toBeUndefined()
    removeRule(hostports, 1)
    expect(difference()).toContain("host port 80/tcp is missing")
  })

  test("by its iptables backend, in iptables-nft", () => {
    const nat = { family: "ip", name: "nat" } as const
    const entry = { table: nat, name: "CNI-HOSTPORT-DNAT" }
    const own = { table: nat, name: `CNI-DN-${sha512Hex(attachment.network + attachment.containerId).slice(0, 21)}` }
    change([ensureTable(nat), ensureChain(entry), ensureChain(own)])
    expect(difference()).toContain("is missing")
    change([appendRule(entry, { expressions: [transfer("jump", own.name)] })])
    expect(difference()).toBeUndefined()
    expect(difference(wanted, { ...attachment, containerId: "c2" })).toContain("is missing")
  })
})
