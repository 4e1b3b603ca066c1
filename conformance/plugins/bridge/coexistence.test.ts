import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { nft, ruleset } from "../../lab/ruleset.ts"
import { output } from "../../lab/run.ts"
import { Network } from "./network.ts"
import { masqueraded, OUTSIDE, outside, watchSources } from "./outside.ts"

/** Docker's rules for its bridge, in the tables of iptables. */
const DOCKER = [
  "-t nat -N DOCKER",
  "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
  "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
  "-t nat -A DOCKER -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
  "-t filter -N DOCKER-USER",
  "-t filter -A FORWARD -j DOCKER-USER",
  "-t filter -A DOCKER-USER -j RETURN",
]

/** kube-proxy's rules in its iptables mode. */
const KUBE_PROXY = [
  "-t nat -N KUBE-POSTROUTING",
  "-t nat -N KUBE-SERVICES",
  "-t nat -A PREROUTING -m comment --comment portals -j KUBE-SERVICES",
  "-t nat -A POSTROUTING -m comment --comment rules -j KUBE-POSTROUTING",
  "-t nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
  "-t nat -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
  "-t nat -A KUBE-POSTROUTING -j MASQUERADE",
]

/** As nft has them: kube-proxy in its nftables mode, firewalld, and the table that ebtables-nft shares with the MAC check. */
const NFT = [
  "add table ip kube-proxy",
  "add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority srcnat; }",
  "add rule ip kube-proxy nat-postrouting mark and 0x4000 != 0 masquerade",
  "add table inet firewalld",
  "add chain inet firewalld nat_POSTROUTING { type nat hook postrouting priority 110; policy accept; }",
  "add rule inet firewalld nat_POSTROUTING oifname other masquerade",
  "add table bridge nat",
  "add chain bridge nat PREROUTING { type filter hook prerouting priority -300; policy accept; }",
  'add rule bridge nat PREROUTING ether saddr 02:00:00:00:00:77 drop comment "by hand"',
]

describe.each<[string, (node: Node) => void, (node: Node) => string]>([
  ["Docker, iptables-nft", (node) => iptables(node, "iptables-nft", DOCKER), ruleset],
  ["Docker, iptables-legacy", (node) => iptables(node, "iptables-legacy", DOCKER), saved],
  ["kube-proxy, iptables-nft", (node) => iptables(node, "iptables-nft", KUBE_PROXY), ruleset],
  ["kube-proxy, iptables-legacy", (node) => iptables(node, "iptables-legacy", KUBE_PROXY), saved],
  ["kube-proxy by nftables, firewalld, ebtables-nft", (node) => nft(node, ...NFT), ruleset],
])("beside the rules of %s", (_, make, read) => {
  test("pods are masqueraded, and those rules are the same afterwards", () => {
    using node = new Node()
    const sources = watchSources(outside(node))
    make(node)
    const before = inTables(read(node))
    const network = new Network(node, { ...masqueraded(node), macspoofchk: true })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(OUTSIDE.map((address) => pod.pings(address))).toEqual([true, true])
    expect(sources()).toEqual({ node: [1, 1], pods: [0, 0] })
    expect(network.check(pod, result).exitCode).toBe(0)
    expect(network.del(pod).exitCode).toBe(0)
    const after = inTables(read(node))
    expect(after).toEqual(expect.arrayContaining(before))
    for (const table of after.filter((found) => !before.includes(found))) {
      expect(table).toMatch(/^table (inet cni_plugins_masquerade|bridge nat) /)
    }
  })
})

function iptables(node: Node, program: string, commands: readonly string[]): void {
  for (const command of commands) output(node.inside([program, ...command.split(" ")]))
}

function saved(node: Node): string {
  const tables = ["nat", "filter"].map((table) => node.run("iptables-legacy", "-t", table, "-S").stdout)
  return tables.join("\n")
}

/** The tables of a listing. */
function inTables(listed: string): string[] {
  return listed
    .split(/^(?=table )/m)
    .map((table) => table.replace(/^#.*\n/gm, "").trim())
    .filter(Boolean)
}
