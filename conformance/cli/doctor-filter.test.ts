import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

let node: OperatedNode
beforeEach(() => {
  node = new OperatedNode()
  node.uplink("198.51.100.1/24", "198.51.100.254")
  node.sysctl("net/bridge/bridge-nf-call-iptables", "0")
  node.sysctl("net/bridge/bridge-nf-call-ip6tables", "0")
  node.configure(PODNET)
  node.attach(PODNET, { name: "shop/cart" })
  node.attach(PODNET, { name: "shop/web" })
})
afterEach(() => node[Symbol.dispose]())

/** Runs a program that must succeed. */
function does(...argv: string[]): void {
  const { exitCode, stderr } = node.run(...argv)
  expect([exitCode, stderr]).toEqual([0, ""])
}

const kinds = () => node.doctor().findings.map(({ kind, about }) => `${kind} ${about}`)
const evidence = () => node.doctor().findings.flatMap(({ evidence }) => evidence)
const DROPS = ["forward-drops podnet"]

describe("a FORWARD chain that drops", () => {
  test("by the policy of iptables, until a rule accepts", () => {
    does("iptables", "-P", "FORWARD", "DROP")
    expect(kinds()).toEqual(DROPS)
    expect(evidence()).toContain("iptables -S: -P FORWARD DROP")
    does("iptables", "-A", "FORWARD", "-i", "cni0", "-j", "ACCEPT")
    expect(node.doctor().findings[0]?.problem).toMatch(/^answers to its pods by IPv4/)
    does("iptables", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT")
    expect(node.doctor()).toMatchObject({ exitCode: 0, findings: [] })
  })

  test("by the policy of iptables, beside rules that may accept: nothing is certain", () => {
    does("iptables", "-P", "FORWARD", "DROP")
    does("iptables", "-A", "FORWARD", "-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "ACCEPT")
    expect(kinds()).toEqual([])
  })

  test("as Docker's does", () => {
    for (const chain of ["DOCKER-USER", "DOCKER-FORWARD", "DOCKER-CT", "DOCKER-BRIDGE"]) does("iptables", "-N", chain)
    does("iptables", "-P", "FORWARD", "DROP")
    does("iptables", "-A", "FORWARD", "-j", "DOCKER-USER")
    does("iptables", "-A", "FORWARD", "-j", "DOCKER-FORWARD")
    does("iptables", "-A", "DOCKER-USER", "-j", "RETURN")
    for (const chain of ["DOCKER-CT", "DOCKER-BRIDGE"]) does("iptables", "-A", "DOCKER-FORWARD", "-j", chain)
    does("iptables", "-A", "DOCKER-FORWARD", "-i", "docker0", "-j", "ACCEPT")
    does(
      "iptables",
      "-A",
      "DOCKER-CT",
      "-o",
      "docker0",
      "-m",
      "conntrack",
      "--ctstate",
      "RELATED,ESTABLISHED",
      "-j",
      "ACCEPT",
    )
    expect(kinds()).toEqual(DROPS)
  })

  test("by a rule of nftables, whose handle is said", () => {
    does("nft", "add table inet site; add chain inet site forward { type filter hook forward priority 0; }")
    does(
      "nft",
      'add rule inet site forward ct state established,related accept; add rule inet site forward iifname "eth*" accept',
    )
    expect(kinds()).toEqual([])
    does("nft", 'add rule inet site forward iifname "cni0" counter reject comment "no pods"')
    expect(kinds()).toEqual(["forward-drops podnet", "forward-drops podnet"]) // IPv4, IPv6
    expect(evidence()[0]).toMatch(/^nft -a list chain inet site forward: handle \d+ \("no pods"\)$/)
  })

  test("by sets and verdict maps that do not let it through, and not by those that do", () => {
    does("nft", "add table ip site; add chain ip site forward { type filter hook forward priority 0; policy drop; }")
    does("nft", "add rule ip site forward ct state vmap { established : accept, related : accept, invalid : drop }")
    does("nft", 'add rule ip site forward iifname { "lan0", "lan1" } accept')
    does("nft", "add rule ip site forward ip saddr { 10.0.0.0/16, 10.245.0.0/16 } accept")
    expect(kinds()).toEqual(DROPS)
    does("nft", "add rule ip site forward ip saddr { 10.0.0.0/16, 10.244.0.0/16 } accept")
    expect(kinds()).toEqual([])
  })

  test("of one pod alone: that may be meant so, unless the pod is asked about", () => {
    does("nft", "add table ip site; add chain ip site forward { type filter hook forward priority 0; }")
    does("nft", "add rule ip site forward ip saddr 10.244.1.2 drop")
    expect(kinds()).toEqual([])
    expect(node.doctor("cart").findings.map(({ kind }) => kind)).toEqual(["forward-drops"])
  })

  test("is none for a table that is dormant", () => {
    does(
      "nft",
      "add table ip site { flags dormant; }; add chain ip site forward { type filter hook forward priority 0; policy drop; }",
    )
    expect(kinds()).toEqual([])
  })

  test("of iptables-legacy cannot be seen, which is said", () => {
    does("iptables-legacy", "-A", "FORWARD", "-j", "DROP")
    const { exitCode, findings, unseen } = node.doctor()
    expect([exitCode, findings]).toEqual([2, []])
    expect(unseen).toEqual([expect.stringContaining("iptables-legacy-save")])
  })
})

test("the firewall plugin's rules let pods through a FORWARD chain that drops", () => {
  const guarded = {
    ...PODNET,
    name: "guarded",
    plugins: [
      {
        ...PODNET.plugins[0],
        type: "bridge",
        bridge: "cni1",
        ipam: { type: "host-local", ranges: [[{ subnet: "10.9.9.0/24" }]] },
      },
      { type: "firewall", backend: "iptables" },
    ],
  }
  node.attach(guarded)
  does("iptables", "-P", "FORWARD", "DROP")
  expect(kinds()).toEqual(DROPS)
})

test("what stays on a bridge is dropped, too, if bridge-nf-call-iptables is on", () => {
  node.sysctl("net/bridge/bridge-nf-call-iptables", "1")
  expect(kinds()).toEqual([])
  does("iptables", "-A", "FORWARD", "-i", "cni0", "-o", "cni0", "-j", "DROP")
  expect(kinds()).toEqual(["bridge-filter podnet"])
  does("iptables", "-I", "FORWARD", "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")
  expect(kinds()).toEqual([])
})

describe("services of kube-proxy on a bridge whose answers it does not see", () => {
  test("by iptables", () => {
    does("iptables", "-t", "nat", "-N", "KUBE-SERVICES")
    expect(kinds()).toEqual([])
    does("iptables", "-t", "nat", "-A", "PREROUTING", "-m", "comment", "--comment", "kubernetes", "-j", "KUBE-SERVICES")
    expect(kinds()).toEqual(["no-bridge-nf podnet"])
    node.sysctl("net/bridge/bridge-nf-call-iptables", "1")
    expect(kinds()).toEqual([])
  })

  test("by nftables", () => {
    does(
      "nft",
      "add table ip kube-proxy; add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -110; }",
    )
    expect(kinds()).toEqual(["no-bridge-nf podnet"])
  })
})
