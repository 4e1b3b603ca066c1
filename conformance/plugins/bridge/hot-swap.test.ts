import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { ruleset } from "../../lab/ruleset.ts"
import { type Config, DUAL, hostLocal, leases, Network, ports } from "./network.ts"
import { masqueraded } from "./outside.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }

/** Rules and chains of a pod's own, in either's table, by nftables or by iptables. */
const OF_PODS = /, net: |macspoofchk-|cni-br-iface-|CNI-[0-9a-f]{24}/

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "IPv4 without gateway": (node) => ({ ipam: hostLocal(node) }),
  "dual stack with default routes": (node) => ({ isDefaultGateway: true, ipam: hostLocal(node, DUAL) }),
  "ipMasq by nftables, macspoofchk": (node) => ({
    ...masqueraded(node),
    ipMasqBackend: "nftables",
    macspoofchk: true,
  }),
  "ipMasq by iptables": (node) => ({ ...masqueraded(node), ipMasqBackend: "iptables" }),
  "ipMasq by the default backend, the reference's being iptables": (node) => masqueraded(node),
  "routes, mtu, hairpin": (node) => ({
    isGateway: true,
    mtu: 1450,
    hairpinMode: true,
    ipam: hostLocal(node, DUAL, { routes: [{ dst: "10.5.0.0/16" }, { dst: "::/0" }] }),
  }),
}

const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test.each(SWAPS)("added by %s, checked and removed by %s", (first, second) => {
    using node = new Node()
    for (const cniVersion of ["0.4.0", "1.0.0", "1.1.0"]) {
      const network = new Network(node, { cniVersion, ...config(node) }, first)
      const pod = node.pod()
      const prevResult = network.connect(pod)
      expect(network.as(second).check(pod, prevResult), cniVersion).toMatchObject(QUIET)
      expect(network.as(second).del(pod, { config: { prevResult } }), cniVersion).toMatchObject(QUIET)
      expect([pod.link("eth0"), ports(node), leases(node)], cniVersion).toEqual([undefined, [], []])
      expect(ruleset(node), cniVersion).not.toMatch(OF_PODS)
      expect(network.as(second).connect(pod).ips?.length, `${cniVersion} again`).toBe(prevResult.ips?.length)
      expect(network.del(pod), cniVersion).toMatchObject(QUIET)
    }
  })
})

test("a network without ipam, added by the reference, is checked and removed by ours", () => {
  using node = new Node()
  const network = new Network(node, { portIsolation: true }, "reference")
  const pod = node.pod()
  const result = network.connect(pod)
  expect(network.as("ours").check(pod, result)).toMatchObject(QUIET)
  expect(network.as("ours").del(pod)).toMatchObject(QUIET)
  expect([pod.link("eth0"), ports(node)]).toEqual([undefined, []])
})

test("pods of both implementations share bridge and range, and reach each other", () => {
  using node = new Node()
  const network = new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, DUAL) })
  // The reference's own bridge could not be reached by IPv6 yet: it does not wait for duplicate address detection.
  const pods = (["ours", "reference", "ours", "reference"] as const).map((implementation) => {
    const pod = node.pod()
    network.as(implementation).connect(pod)
    pod.ip("link", "set", "lo", "up") // to reach itself
    return pod
  })
  expect(leases(node).filter((address) => address.startsWith("10."))).toEqual([2, 3, 4, 5].map((n) => `10.244.1.${n}`))
  for (const pod of pods) {
    for (const n of [1, 2, 3, 4, 5]) {
      expect([pod.pings(`10.244.1.${n}`), pod.pings(`fd00:10:244:1::${n}`)], `${n}`).toEqual([true, true])
    }
  }
})

test("our GC keeps the live pods of the reference, and those that it cannot know to be stale", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  const [live, stale, ours] = [node.pod(), node.pod(), node.pod()]
  network.as("reference").connect(live)
  network.as("reference").connect(stale)
  network.connect(ours)
  expect(network.gc([live])).toMatchObject({ exitCode: 0, stdout: "" })
  expect([live, stale, ours].map((pod) => pod.link("eth0")?.ifname)).toEqual(["eth0", "eth0", undefined])
  expect(leases(node)).toEqual(["10.244.1.2"])
  expect(live.pings("10.244.1.1")).toBe(true)
})

test("a pod that the reference masquerades by iptables is checked as such, and leaves no rule after our DEL without namespace", () => {
  using node = new Node()
  const network = new Network(node, masqueraded(node))
  const [pod, other] = [node.pod(), node.pod()]
  const result = network.as("reference").connect(pod)
  network.as("reference").connect(other)
  const iptables = () => ["iptables", "ip6tables"].map((program) => node.run(program, "-t", "nat", "-S").stdout)
  expect(iptables().map((listed) => listed.split(pod.containerId).length)).toEqual([4, 4])
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(network.ask("DEL", "", { containerId: pod.containerId })).toMatchObject(QUIET)
  expect(iptables().map((listed) => listed.split(pod.containerId).length)).toEqual([1, 1])
  expect(iptables().map((listed) => listed.split(other.containerId).length)).toEqual([4, 4])
  expect(network.as("reference").del(other, { config: { prevResult: result } })).toMatchObject(QUIET)
  expect(iptables().join("")).not.toContain("CNI-")
})
