import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { nft, rules, ruleset } from "../../lab/ruleset.ts"
import { savedRules } from "../../xtables/rules.ts"
import { OUTSIDE } from "../bridge/outside.ts"
import { type Config, Firewall, iptables, POLICIES, QUIET, rulesFor } from "./network.ts"
import { NO, reaches, Site, YES } from "./site.ts"

const TABLE = "inet cni_firewall"
const BACKEND = { backend: "nftables" }
const OTHERS = ["10.1.0.3/24", "fd00::3/64"]

/** The rules of a chain, their comments left out. */
function said(node: Node, chain: string, table = TABLE): string[] {
  return rules(node, table, chain).map((rule) => rule.replace(/ comment ".*"$/, ""))
}

function firewallOf(node: Node, config: Config = {}): Firewall {
  return new Firewall(node, { ...BACKEND, ...config })
}

const WAYS = ["jump CNI-ISOLATION-STAGE-1", "jump CNI-ADMIN", "jump CNI-FORWARD"]
const ACCEPTED = [
  "ip daddr 10.1.0.2 ct state established,related accept",
  "ip saddr 10.1.0.2 accept",
  "ip6 daddr fd00::2 ct state established,related accept",
  "ip6 saddr fd00::2 accept",
]

describe("ADD, CHECK and DEL", () => {
  test.each(POLICIES)(
    "with ingressPolicy %s: the pod's rules come and go, chains and a bridge's rules stay",
    (policy) => {
      using node = new Node()
      const pod = node.pod()
      const firewall = firewallOf(node, { ingressPolicy: policy })
      expect(firewall.tell("CHECK", pod).error).toMatchObject({ code: 104 })
      firewall.allow(pod)
      expect(said(node, "FORWARD")).toEqual(WAYS)
      expect(said(node, "CNI-FORWARD")).toEqual(ACCEPTED)
      expect(said(node, "CNI-ISOLATION-STAGE-1")).toEqual(
        policy === "open" ? [] : ['iifname "cni0" oifname != "cni0" jump CNI-ISOLATION-STAGE-2'],
      )
      expect(said(node, "CNI-ISOLATION-STAGE-2")).toEqual(policy === "open" ? [] : ['oifname "cni0" drop'])
      expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
      expect(savedRules(node)).toEqual([])
      const before = ruleset(node)
      firewall.allow(pod)
      expect(ruleset(node)).toBe(before)
      expect(firewall.forget(pod)).toMatchObject(QUIET)
      expect(said(node, "CNI-FORWARD")).toEqual([])
      expect(firewall.tell("CHECK", pod).error).toMatchObject({ code: 104 })
      expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
    },
  )

  test("another policy of the network takes the place of the one before", () => {
    using node = new Node()
    const firewall = firewallOf(node, { ingressPolicy: "same-bridge" })
    firewall.allow(node.pod())
    firewall.as("ours", { ingressPolicy: "open" }).allow(node.pod(), OTHERS)
    expect(said(node, "CNI-ISOLATION-STAGE-1")).toEqual([])
    expect(said(node, "CNI-ISOLATION-STAGE-2")).toEqual([])
  })

  test("an ADD that is refused leaves nothing: somebody else has the chain", () => {
    using node = new Node()
    nft(
      node,
      "add table inet cni_firewall",
      "add chain inet cni_firewall FORWARD { type filter hook input priority 0; }",
    )
    const before = ruleset(node)
    expect(firewallOf(node).tell("ADD", node.pod()).error).toMatchObject({ code: 102 })
    expect(ruleset(node)).toBe(before)
  })
})

describe("after", () => {
  test.each([
    "nft flush ruleset",
    "nft delete table inet cni_firewall",
    "nft flush chain inet cni_firewall FORWARD",
    "nft flush chain inet cni_firewall CNI-FORWARD",
    "nft flush chain inet cni_firewall CNI-ISOLATION-STAGE-2",
  ])("%s CHECK says so, and an ADD of the pod brings all of it back once", (command) => {
    using node = new Node()
    const pod = node.pod()
    const firewall = firewallOf(node, { ingressPolicy: "same-bridge" })
    firewall.allow(pod)
    const before = ruleset(node)
    iptables(node, command)
    expect(firewall.tell("CHECK", pod).error).toMatchObject({
      code: 104,
      msg: expect.stringContaining(`table ${TABLE}`),
    })
    firewall.allow(pod)
    expect(ruleset(node)).toBe(before)
  })
})

test("an administrator's rules behind the jumps, and a policy of FORWARD, stay", () => {
  using node = new Node()
  const firewall = firewallOf(node)
  firewall.allow(node.pod())
  iptables(
    node,
    "nft add rule inet cni_firewall FORWARD counter",
    "nft 'chain inet cni_firewall FORWARD { policy drop; }'",
  )
  iptables(
    node,
    "nft delete rule inet cni_firewall FORWARD handle $(nft -a list chain inet cni_firewall FORWARD | sed -n 's/.*CNI-ADMIN # handle //p')",
  )
  firewall.allow(node.pod(), OTHERS)
  expect(said(node, "FORWARD").map((rule) => rule.replace(/ packets.*/, ""))).toEqual([...WAYS, "counter"])
  expect(ruleset(node)).toContain("type filter hook forward priority filter; policy drop;")
})

describe("GC", () => {
  test("removes the rules of the network's pods that are gone, says so, and leaves those of others", () => {
    using node = new Node()
    const [gone, alive, other] = [node.pod(), node.pod(), node.pod()]
    const firewall = firewallOf(node)
    firewall.allow(gone)
    firewall.allow(alive, OTHERS)
    firewall.as("ours", { name: "other" }).allow(other, ["10.1.0.4/24"])
    const { exitCode, stderr } = firewall.gc([alive])
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("removed a rule (")])
    expect(said(node, "CNI-FORWARD").filter((rule) => /10\.1\.0\.2|fd00::2/.test(rule))).toEqual([])
    expect(said(node, "CNI-FORWARD")).toHaveLength(6)
    expect(firewall.gc([alive])).toMatchObject(QUIET)
  })

  test("without a list removes those alone whose address is in no network namespace", () => {
    using node = new Node()
    const [gone, alive] = [node.pod(), node.pod()]
    const firewall = firewallOf(node)
    firewall.allow(gone, ["172.29.83.4/24"])
    firewall.allow(alive, ["172.29.83.5/24"])
    alive.ip("addr", "add", "172.29.83.5/24", "dev", "lo")
    expect(firewall.ask("GC", undefined)).toMatchObject({ exitCode: 0 })
    expect(said(node, "CNI-FORWARD").map((rule) => /172\S+/.exec(rule)?.[0])).toEqual(["172.29.83.5", "172.29.83.5"])
  })
})

describe("without backend the rules are", () => {
  const CASES: readonly [string, readonly string[], [number, number]][] = [
    ["in the table of our own on a bare node", [], [0, 4]],
    ["there beside iptables' empty chains", ["iptables -P FORWARD ACCEPT", "iptables -t nat -N X"], [0, 4]],
    ["in iptables where FORWARD drops", ["iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP"], [4, 0]],
    [
      "in iptables where FORWARD has rules",
      ["iptables -A FORWARD -j ACCEPT", "ip6tables -A FORWARD -j ACCEPT"],
      [4, 0],
    ],
    ["of each family where they belong", ["iptables -P FORWARD DROP"], [2, 2]],
  ]
  test.each(CASES)("%s; CHECK, DEL and GC find them", (_, before, counts) => {
    using node = new Node()
    const pod = node.pod()
    iptables(node, ...before)
    const firewall = new Firewall(node, { backend: "" })
    expect(firewall.tell("ADD", pod)).toMatchObject(QUIET)
    const found = () => [rulesFor(node).length, said(node, "CNI-FORWARD").length]
    expect(found()).toEqual(counts)
    expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
    expect(firewall.forget(pod)).toMatchObject(QUIET)
    expect(found()).toEqual([0, 0])
    firewall.allow(pod)
    expect(firewall.gc([])).toMatchObject({ exitCode: 0 })
    expect(found()).toEqual([0, 0])
  })

  test("enough for CHECK also if FORWARD got rules since, but not if it drops", () => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node, { backend: "" })
    firewall.allow(pod)
    iptables(node, "iptables -A FORWARD -j ACCEPT")
    expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
    iptables(node, "iptables -P FORWARD DROP")
    expect(firewall.tell("CHECK", pod).error).toMatchObject({ code: 104 })
    firewall.allow(pod)
    expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
    expect(rulesFor(node)).toHaveLength(2)
  })
})

test("by name, where iptables' FORWARD drops, ADD says that the table of our own does not help", () => {
  using node = new Node()
  iptables(node, "iptables -P FORWARD DROP")
  const { exitCode, stderr } = firewallOf(node).tell("ADD", node.pod())
  expect([exitCode, stderr]).toEqual([
    0,
    expect.stringMatching(
      /^cni-ts firewall: chain FORWARD of table ip filter may drop packets .*leave out "backend"\n$/,
    ),
  ])
})

describe("of packets", () => {
  test("those of the pods pass where the table's FORWARD drops, and answers come back; the administrator's rules come first", () => {
    using node = new Node()
    const site = new Site(node)
    const without = site.pod(1)
    const within = site.pod(1, BACKEND)
    nft(node, "chain inet cni_firewall FORWARD { policy drop; }")
    expect(without.pod.reaches(OUTSIDE)).toEqual(NO)
    expect(within.pod.reaches(OUTSIDE)).toEqual(YES)
    nft(node, `add rule inet cni_firewall CNI-ADMIN ip daddr ${OUTSIDE[0]} drop`)
    expect(within.pod.reaches(OUTSIDE)).toEqual([false, true])
  })

  test("same-bridge: pods reach those of their bridge, the host beyond, and not those of another bridge, whose rules are in iptables", () => {
    using node = new Node()
    const site = new Site(node)
    const config = { backend: "", ingressPolicy: "same-bridge" }
    const [one, two] = [site.pod(1, config), site.pod(1, config)]
    iptables(node, "iptables -A FORWARD -j ACCEPT", "ip6tables -A FORWARD -j ACCEPT")
    const far = site.pod(2, config)
    expect(savedRules(node).filter((line) => line.includes("-i cni"))).toHaveLength(2)
    expect(reaches(one.pod, two)).toEqual(YES)
    expect(reaches(one.pod, far)).toEqual(NO)
    expect(one.pod.reaches(OUTSIDE)).toEqual(YES)
    expect(reaches(node, one)).toEqual(YES)
  })

  test("isolated: pods reach the host beyond and no other pod, without br_netfilter, and no more rule is there after DEL", () => {
    using node = new Node()
    const site = new Site(node)
    for (const family of ["ip", "ip6"]) node.sysctl(`net/bridge/bridge-nf-call-${family}tables`, "0")
    const config = { ...BACKEND, ingressPolicy: "isolated" }
    const [one, two] = [site.pod(1, config), site.pod(1, config)]
    expect(one.stderr).toBe("")
    expect(reaches(one.pod, two)).toEqual(NO)
    expect(one.pod.reaches(OUTSIDE)).toEqual(YES)
    expect(reaches(node, one)).toEqual(YES)
    for (const { pod, firewall } of [one, two]) expect(firewall.forget(pod)).toMatchObject(QUIET)
    expect(said(node, "FORWARD", "bridge cni_firewall")).toEqual([])
  })
})
