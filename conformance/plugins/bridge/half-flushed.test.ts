import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { nft, rules, ruleset } from "../../lab/ruleset.ts"
import { output } from "../../lab/run.ts"
import { DUAL, hostLocal, leased, Network } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const MASQUERADE = "inet cni_plugins_masquerade"

const wholly = (node: Node, type = "bridge") =>
  new Network(node, { type, ipMasq: true, macspoofchk: true, ipam: hostLocal(node, DUAL) })

/** By what somebody did, how `nft` is told; ID is that of the pod that is about to go. */
const GUARD: Readonly<Record<string, readonly string[]>> = {
  "the rules that lead to the guards": ["flush chain bridge nat PREROUTING"],
  "the chain that leads to the guards": ["flush chain bridge nat PREROUTING", "delete chain bridge nat PREROUTING"],
  "all rules of the guards": ["flush table bridge nat"],
  "one guard's first chain": ["flush chain bridge nat PREROUTING", "delete chain bridge nat cni-br-iface-ID-eth0"],
  "one guard's second chain": [
    "flush chain bridge nat cni-br-iface-ID-eth0",
    "delete chain bridge nat cni-br-iface-ID-eth0-mac",
  ],
  "the guards' table": ["delete table bridge nat"],
}

const MASQUERADING: Readonly<Record<string, readonly string[]>> = {
  "what leads to the masquerading": [`flush chain ${MASQUERADE} postrouting`],
  "the chain that leads to the masquerading": [
    `flush chain ${MASQUERADE} postrouting`,
    `delete chain ${MASQUERADE} postrouting`,
  ],
  "the masquerading itself": [`flush chain ${MASQUERADE} masq_checks`],
  "the masquerading's table": [`delete table ${MASQUERADE}`],
  "all rules of the masquerading": [`flush table ${MASQUERADE}`],
  "the whole ruleset": ["flush ruleset"],
}

const HARMS = [
  ...Object.entries(GUARD).map(([what, harm]) => ["bridge", what, harm] as const),
  ...Object.entries(MASQUERADING).flatMap(([what, harm]) =>
    ["bridge", "ptp"].map((type) => [type, what, harm] as const),
  ),
]

describe("nothing of a pod stays where somebody has removed", () => {
  test.each(HARMS)("of %s: %s", (type, _, harm) => {
    using node = new Node()
    const network = wholly(node, type)
    const [stale, live, next] = [node.pod(), node.pod(), node.pod()]
    for (const pod of [stale, live]) network.connect(pod)
    nft(node, ...harm.map((line) => line.replaceAll("ID", stale.containerId)))
    const left = ruleset(node).includes(live.containerId)
    expect(network.gc([live])).toMatchObject({ exitCode: 0, stdout: "" })
    expect([stale, live].map(({ containerId }) => ruleset(node).includes(containerId))).toEqual([false, left])
    const result = network.connect(next)
    expect(network.check(next, result)).toMatchObject(QUIET)
    nft(node, ...harm.map((line) => line.replaceAll("ID", next.containerId)))
    for (const pod of [live, next]) expect(network.del(pod)).toMatchObject(QUIET)
    expect(ruleset(node)).not.toMatch(/container-of|cni-br-iface/)
  })
})

test("GC leaves another network's guards where somebody has removed what leads to them", () => {
  using node = new Node()
  const [pod, other] = [node.pod(), node.pod()]
  const network = wholly(node)
  network.connect(pod)
  network.as("ours", { name: "other", bridge: "cni1", ipam: hostLocal(node, ["10.9.0.0/24"]) }).connect(other)
  nft(node, "flush chain bridge nat PREROUTING")
  expect(network.gc([])).toMatchObject({ exitCode: 0, stdout: "" })
  expect([pod, other].map(({ containerId }) => ruleset(node).includes(containerId))).toEqual([false, true])
})

describe("DEL removes a pod that somebody's rule leads to, and names the rule", () => {
  test("to its guard", () => {
    using node = new Node()
    const network = wholly(node)
    const pod = node.pod()
    network.connect(pod)
    const chain = `cni-br-iface-${pod.containerId}-eth0`
    nft(node, "add chain bridge nat others", `add rule bridge nat others jump ${chain} comment "by hand"`)
    const words = new RegExp(`chain ${chain} of table bridge nat .* rule handle \\d+ of chain "others" \\("by hand"\\)`)
    for (const _time of [1, 2]) {
      const { stderr, ...deleted } = network.del(pod)
      expect([deleted.exitCode, deleted.stdout]).toEqual([0, ""])
      expect(stderr).toMatch(words)
      expect([node.ip("link", "show", "type", "veth"), leased(node), rules(node, MASQUERADE, "masq_checks")]).toEqual([
        [],
        [],
        [],
      ])
      expect([...rules(node, "bridge nat", "PREROUTING"), ...rules(node, "bridge nat", chain)]).toEqual([])
      expect(ruleset(node)).not.toContain(`${chain}-mac`)
    }
    nft(node, "flush chain bridge nat others")
    expect(network.gc([])).toMatchObject({ exitCode: 0, stdout: "" })
    expect(ruleset(node)).not.toContain(chain)
  })

  test.each(["bridge", "ptp"])("to its chain of the reference's iptables backend, %s", (type) => {
    using node = new Node()
    const network = wholly(node, type)
    const pod = node.pod()
    network.as("reference", { ipMasqBackend: "iptables", macspoofchk: false }).connect(pod)
    const chain = /chain (CNI-[0-9a-f]{24})/.exec(ruleset(node))?.[1] ?? ""
    for (const args of [
      ["-N", "OTHERS"],
      ["-A", "OTHERS", "-j", chain],
    ])
      output(node.inside(["iptables", "-t", "nat", ...args]))
    const deleted = network.del(pod)
    expect(deleted).toMatchObject({ exitCode: 0, stdout: "" })
    expect(deleted.stderr).toMatch(new RegExp(`chain ${chain} of table ip nat .* rule handle \\d+ of chain "OTHERS"`))
    expect([leased(node), rules(node, "ip nat", chain), rules(node, "ip nat", "POSTROUTING")]).toEqual([[], [], []])
  })
})
