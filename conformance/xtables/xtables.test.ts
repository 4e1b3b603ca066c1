import "../../lib/sys/node/register.ts"
import { describe, expect, test } from "vitest"
import { type Family, families, parseAddress } from "../../lib/ip/address.ts"
import { parsePrefix } from "../../lib/ip/prefix.ts"
import type { Implementation } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { ruleset } from "../lab/ruleset.ts"
import { output } from "../lab/run.ts"
import { type Mapping, resultOf, tcp, udp } from "../plugins/portmap/network.ts"
import { format, legacyOn, type Placed, program, read, saved, savedRules, write } from "./rules.ts"

const QUIET = { exitCode: 0, stderr: "" }
const ADDRESSES = ["10.1.2.3/24", "fd00::2/64"]
const PORTS: readonly Mapping[] = [
  ...Array.from({ length: 17 }, (_, index) => tcp(8000 + index)),
  udp(53),
  { ...tcp(9999), protocol: "sctp" },
  tcp(8443, 443, "192.0.2.1"),
]
const PORTMAP = { cniVersion: "1.1.0", name: "net", type: "portmap", backend: "iptables" }
const FIREWALL = { cniVersion: "1.0.0", name: "net", type: "firewall", backend: "iptables" }

const prefix = (text: string) => parsePrefix(text) ?? expect.fail(text)
const address = (text: string) => parseAddress(text) ?? expect.fail(text)
const defined = (rules: readonly (Placed | undefined)[]) =>
  rules.flatMap((rule) => rule ?? expect.fail("not understood"))

/** Runs lines of `iptables-save` with another option in the place of -A. Between double quotes sh would keep a backslash before `'`. */
function rerun(node: Node, option: string, lines: readonly string[]): void {
  const commands = lines.map((line) => line.replace(" -A ", ` ${option} `).replaceAll("\\'", "'"))
  output(node.inside(["sh", "-ec", commands.join("\n")]))
}

/** Asks a Go plugin, which uses the iptables that this process finds. */
function ask(node: Node, command: string, pod: Pod, config: object) {
  const { type } = config as { type: string }
  const implementation: Implementation = "reference"
  const prevResult = resultOf(pod, ADDRESSES)
  return node.call(type, {
    command,
    netns: pod,
    implementation,
    env: { PATH: process.env["PATH"] },
    config: { prevResult, runtimeConfig: { portMappings: PORTS }, ...config },
  })
}

const CHAINED = [
  FIREWALL,
  { ...FIREWALL, ingressPolicy: "same-bridge" },
  { ...FIREWALL, ingressPolicy: "isolated" },
  PORTMAP,
  { ...PORTMAP, name: "all", masqAll: true },
]

/** Asks all of them, which must succeed and print no warning. */
function askAll(node: Node, command: string, pod: Pod): void {
  for (const config of CHAINED) expect(ask(node, command, pod, config)).toMatchObject({ error: undefined, ...QUIET })
}

/** Has the Go plugins make all that they make with iptables. */
function withRulesOfGo(node: Node, pod: Pod): void {
  askAll(node, "ADD", pod)
  const ipam = { type: "static", addresses: [{ address: "10.1.2.3/20" }, { address: "fd00::2/61" }] }
  const masquerading = { type: "bridge", name: "net", ipMasq: true, ipMasqBackend: "iptables", ipam }
  const config = { cniVersion: "1.0.0", ...masquerading, prevResult: undefined, runtimeConfig: undefined }
  expect(ask(node, "ADD", pod, config)).toMatchObject({ error: undefined, exitCode: 0 })
}

test("every rule that the Go plugins make with iptables is read as iptables-save prints it", () => {
  using node = new Node()
  withRulesOfGo(node, node.pod())
  const rules = read(node).map((placed) => placed && format(placed))
  expect(rules.sort()).toEqual(savedRules(node).sort())
  expect(rules.length).toBeGreaterThan(150)
})

describe("rules that ours makes", () => {
  test("are those of the Go plugins for iptables-save, -C, -L and -D", () => {
    using theirs = new Node()
    using ours = new Node()
    withRulesOfGo(theirs, theirs.pod())
    write(ours, defined(read(theirs)))
    expect(saved(ours)).toEqual(saved(theirs))
    for (const family of families) {
      for (const table of ["filter", "nat"]) {
        const listed = [theirs, ours].map((node) => node.run(program(family), "-t", table, "-nL"))
        expect(listed[1]).toEqual(listed[0])
        expect(listed[1]).toMatchObject(QUIET)
      }
    }
    for (const option of ["-C", "-D"]) rerun(ours, option, savedRules(ours))
    expect(savedRules(ours)).toEqual([])
  })

  test("hold for CHECK of the Go plugins, their ADD makes none again, and their DEL removes them", () => {
    using theirs = new Node()
    using ours = new Node()
    const pod = theirs.pod()
    askAll(theirs, "ADD", pod)
    expect(ask(ours, "CHECK", pod, PORTMAP)).toMatchObject({ exitCode: 1 })
    write(ours, defined(read(theirs)))
    const before = saved(ours)
    for (const command of ["CHECK", "ADD"]) askAll(ours, command, pod)
    expect(saved(ours)).toEqual(before)
    for (const node of [theirs, ours]) askAll(node, "DEL", pod)
    expect(saved(ours)).toEqual(saved(theirs))
    expect(savedRules(ours).join("\n")).not.toMatch(/10\.1\.2\.3|fd00::2/)
  })

  test("leave a user's policy and rules in iptables' own chains as they are", () => {
    using node = new Node()
    const drop = ["-P FORWARD DROP", "-A FORWARD -i eth0 -m statistic --mode random --probability 0.5 -j ACCEPT"]
    for (const command of drop) output(node.inside(["iptables", ...command.split(" ")]))
    const rule: Placed["rule"] = { comment: "first", action: { verdict: "return" } }
    write(node, [{ family: 4, table: "filter", chain: "FORWARD", rule, first: true }])
    expect(saved(node).filter((line) => / (:|-A )FORWARD/.test(line))).toEqual([
      "iptables -t filter :FORWARD DROP",
      "iptables -t filter -A FORWARD -m comment --comment first -j RETURN",
      expect.stringContaining("-m statistic"),
    ])
    expect(read(node).map((placed) => placed?.rule)).toEqual([rule, undefined])
  })

  test.each<[string, Family, Placed["table"], Placed["rule"]]>([
    [
      "a comment as long as may be",
      4,
      "filter",
      { comment: `it's "é" \\ ${"x".repeat(243)}`, action: { verdict: "drop" } },
    ],
    [
      "every kind of prefix",
      6,
      "nat",
      { notSource: prefix("fd00::/61"), destination: prefix("ff00::/8"), action: { masquerade: true } },
    ],
    [
      "interfaces excepted",
      4,
      "filter",
      { notFromInterface: "cni0", toInterface: "a-name-of-15-by", action: { verdict: "accept" } },
    ],
    [
      "all tests of packets at once",
      4,
      "nat",
      {
        source: prefix("10.0.0.0/9"),
        destination: prefix("192.0.2.1/32"),
        protocol: 17,
        comment: "one-word",
        established: true,
        destinationPort: 53,
        destinationPorts: [53, 54],
        toThisHost: true,
        marked: 0x80000000,
        action: { mark: 0x80000000 },
      },
    ],
    ["an IPv6 endpoint", 6, "nat", { protocol: 132, action: { dnat: { address: address("fd00::2"), port: 65535 } } }],
  ])("%s: as iptables-save prints it, and -C finds it", (_, family, table, rule) => {
    using node = new Node()
    const placed: Placed = { family, table, chain: "CNI-TEST", rule }
    write(node, [placed])
    expect(savedRules(node)).toEqual([format(placed)])
    rerun(node, "-C", [format(placed)])
  })
})

test("rules of iptables-legacy are told by their tables", () => {
  using node = new Node()
  expect(legacyOn(node)).toEqual([[], []])
  for (const legacy of ["iptables-legacy", "ip6tables-legacy -t nat"]) {
    output(node.inside([...legacy.split(" "), "-A", "OUTPUT", "-j", "ACCEPT"]))
  }
  expect(legacyOn(node)).toEqual([["filter"], ["nat"]])
  expect(ruleset(node)).toBe("")
})
