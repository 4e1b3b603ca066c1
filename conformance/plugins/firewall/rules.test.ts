import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { ruleset } from "../../lab/ruleset.ts"
import { saved } from "../../xtables/rules.ts"
import { resultOf } from "../portmap/network.ts"
import { ADDRESSES, Firewall, iptables, POLICIES, QUIET, rulesFor } from "./network.ts"

const IMPLEMENTATIONS = ["ours", "reference"] as const

/** Does the same with either implementation, on a node of its own, and returns what iptables-save prints on each. */
function both(steps: (firewall: Firewall) => void, before: readonly string[] = []): string[][] {
  return IMPLEMENTATIONS.map((implementation) => {
    using node = new Node()
    iptables(node, ...before)
    steps(new Firewall(node).as(implementation))
    return saved(node)
  })
}

describe("ADD makes the rules of the Go plugin, as iptables-save prints them", () => {
  const cases = [
    ["one pod", (firewall: Firewall) => firewall.allow(firewall.node.pod())],
    ["IPv4 alone", (firewall: Firewall) => firewall.allow(firewall.node.pod(), ["10.1.0.2/24"])],
    ["IPv6 alone", (firewall: Firewall) => firewall.allow(firewall.node.pod(), ["fd00::2/64"])],
    [
      "two addresses of a family",
      (firewall: Firewall) => firewall.allow(firewall.node.pod(), ["10.1.0.2/24", "10.1.0.3/24"]),
    ],
    ["one address twice", (firewall: Firewall) => firewall.allow(firewall.node.pod(), ["10.1.0.2/24", "10.1.0.2/16"])],
    ["no address", (firewall: Firewall) => firewall.allow(firewall.node.pod(), [])],
    [
      "an administrator's chain of another name",
      (firewall: Firewall) =>
        firewall.as(firewall.implementation, { iptablesAdminChainName: "CNI-foobar" }).allow(firewall.node.pod()),
    ],
    [
      "pods of networks with each policy, one after the other",
      (firewall: Firewall) => {
        for (const [at, ingressPolicy] of [...POLICIES, ...POLICIES].entries()) {
          const pod = firewall.node.pod()
          const interfaces = [{ name: `cni${at}` }, { name: "eth0", sandbox: pod.path }]
          const prevResult = { ...resultOf(pod, [`10.1.${at}.2/24`, `fd00:${at}::2/64`]), interfaces }
          firewall
            .as(firewall.implementation, { ingressPolicy, name: `n${at}` })
            .allow(pod, [], { config: { prevResult } })
        }
      },
    ],
  ] as const

  test.each(cases)("%s", (_, steps) => {
    const [ours, theirs] = both(steps)
    expect(ours).toEqual(theirs)
  })

  test.each(cases)("%s, behind Docker's rules", (_, steps) => {
    const docker = ["iptables", "ip6tables"].flatMap((program) => [
      `${program} -P FORWARD DROP`,
      `${program} -N DOCKER-USER`,
      `${program} -A FORWARD -j DOCKER-USER`,
      `${program} -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    ])
    const [ours, theirs] = both(steps, docker)
    expect(ours).toEqual(theirs)
    expect(ours).toContain("iptables -t filter :FORWARD DROP")
  })
})

test.each(["0.4.0", "1.0.0", "1.1.0"])("the previous result passes unchanged at %s", (cniVersion) => {
  const [ours, theirs] = IMPLEMENTATIONS.map((implementation) => {
    using node = new Node()
    const pod = node.pod()
    const prevResult = { cniVersion, ...resultOf(pod, ADDRESSES), dns: { nameservers: ["10.0.0.10"] } }
    const firewall = new Firewall(node, { cniVersion }, implementation)
    const { result } = firewall.tell("ADD", pod, [], { config: { prevResult } })
    return JSON.parse(JSON.stringify(result).replaceAll(pod.path, "POD"))
  })
  expect(ours).toEqual(theirs)
})

describe.each(POLICIES)("with ingressPolicy %s", (ingressPolicy) => {
  test("ADD, CHECK and DEL: the pod's rules are gone, chains and the way to them stay", () => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node, { ingressPolicy })
    const quiet = ingressPolicy === "isolated" ? { exitCode: 0 } : QUIET // without br_netfilter it says so
    expect(firewall.tell("ADD", pod)).toMatchObject(quiet)
    expect(rulesFor(node)).toHaveLength(4)
    expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
    const before = saved(node)
    expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
    expect(saved(node)).toEqual(before.filter((line) => !/10\.1\.0\.2|fd00::2/.test(line)))
    expect(firewall.tell("CHECK", pod).error).toMatchObject({ code: 104 })
    expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
  })

  test("a second ADD changes nothing", () => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node, { ingressPolicy })
    firewall.allow(pod)
    firewall.allow(node.pod(), ["10.1.0.3/24", "fd00::3/64"])
    const before = ruleset(node)
    firewall.allow(pod)
    expect(ruleset(node)).toBe(before)
  })
})

describe("ADD refuses", () => {
  test.each<[string, object, object, string]>([
    ["no previous result", {}, { code: 7 }, "must be called as chained plugin"],
    ["an unknown backend", { backend: "pf" }, { code: 7 }, '"pf" is none of'],
    ["an unknown policy", { ingressPolicy: "closed" }, { code: 7 }, 'unknown ingress policy: "closed"'],
    ["a long name of a chain", { iptablesAdminChainName: "C".repeat(29) }, { code: 7 }, "longer than 28"],
    ["FORWARD as the administrator's chain", { iptablesAdminChainName: "FORWARD" }, { code: 7 }, "FORWARD is not"],
    ["a number as the zone", { firewalldZone: 1 }, { code: 6 }, "firewalldZone"],
  ])("%s, and changes nothing", (what, config, error, words) => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node, { ...config })
    const outcome = what === "no previous result" ? firewall.ask("ADD", pod) : firewall.tell("ADD", pod)
    expect(outcome.error).toMatchObject(error)
    expect(`${outcome.error?.msg} ${outcome.error?.details}`).toContain(words)
    expect(ruleset(node)).toBe("")
    expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
  })

  test("a chain FORWARD that somebody has at another hook, and names it", () => {
    using node = new Node()
    iptables(node, "nft 'add table ip filter; add chain ip filter FORWARD { type filter hook input priority 0; }'")
    const before = ruleset(node)
    const { error } = new Firewall(node).tell("ADD", node.pod())
    expect(error).toMatchObject({ code: 102, msg: expect.stringContaining("chain FORWARD of table ip filter") })
    expect(ruleset(node)).toBe(before)
  })
})

describe("STATUS", () => {
  test("succeeds, and fails for a configuration that ADD refuses", () => {
    using node = new Node()
    const firewall = new Firewall(node)
    expect(firewall.ask("STATUS", undefined)).toMatchObject(QUIET)
    expect(firewall.as("ours", { backend: "pf" }).ask("STATUS", undefined).error).toMatchObject({ code: 50 })
  })

  test.each(["ADD", "STATUS"])("as %s says if rules of iptables-legacy are not seen", (command) => {
    using node = new Node()
    iptables(node, "iptables-legacy -P FORWARD DROP")
    const { exitCode, stderr } = new Firewall(node).tell(command, node.pod())
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("iptables-legacy has a table filter on this node")])
  })
})
