import { setImmediate } from "node:timers/promises"
import { expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { hostportsOf, type Mapping, Portmap, QUIET, rules, ruleset, tcp, udp } from "./network.ts"

const BOTH = ["10.1.0.2/16", "fd00::2/64"]

function range(from: number, count: number): Mapping[] {
  return Array.from({ length: count }, (_, index) => (index % 2 ? udp : tcp)(from + index, from + index))
}

/** All rules of pods, and all elements of sets. */
function remains(node: Node): unknown[] {
  return ruleset(node, { sets: true }).filter(({ rule, set }) => rule?.["comment"] ?? set?.["elem"])
}

/** Returns what remains when there is no pod any more: the sets have an entry that is no pod's. */
function remainsWithoutPods(portmap: Portmap, pod: Pod, addresses: readonly string[]): unknown[] {
  portmap.map(pod, range(10_000, 1), addresses)
  expect(portmap.del(pod)).toMatchObject(QUIET)
  return remains(portmap.node)
}

/** A process has 58 MB for its heap: what takes more fails. */
test.each([
  [3277, BOTH],
  [20_000, BOTH],
])(
  "%i ports of one pod are mapped, mapped again, checked and removed",
  { timeout: 600_000 },
  async (count, addresses) => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node)
    const before = remainsWithoutPods(portmap, pod, addresses)
    const ports = range(10_000, count)
    portmap.map(pod, ports, addresses)
    await setImmediate() // lets the test runner hear from us
    portmap.map(pod, ports, addresses)
    await setImmediate()
    expect(portmap.check(pod, ports, addresses)).toMatchObject(QUIET)
    await setImmediate()
    for (const family of ["ip", "ip6"] as const) expect(rules(node, "hostports", family)).toHaveLength(count)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(remains(node)).toEqual(before)
  },
)

test("by iptables, too, thousands of ports of a pod are mapped, mapped otherwise, checked and removed", {
  timeout: 300_000,
}, () => {
  using node = new Node()
  const [pod, address] = [node.pod(), ["10.1.0.2/16"]]
  const portmap = new Portmap(node, { backend: "iptables" })
  portmap.map(pod, range(10_000, 3277), address)
  const ports = range(20_000, 3277)
  portmap.map(pod, ports, address)
  expect(portmap.check(pod, ports, address)).toMatchObject(QUIET)
  expect(hostportsOf(node).filter((line) => line.includes("-j DNAT"))).toHaveLength(3277)
  expect(portmap.del(pod)).toMatchObject(QUIET)
  expect(hostportsOf(node)).toEqual([])
})

test("GC removes 34 pods of 100 ports each, beside one that lives", { timeout: 300_000 }, () => {
  using node = new Node()
  const living = node.pod()
  const portmap = new Portmap(node)
  portmap.map(living, range(10_000, 100), BOTH)
  const before = remains(node)
  for (let index = 1; index <= 34; index++) {
    const addresses = [`10.1.0.${index + 2}/16`, `fd00::${(index + 2).toString(16)}/64`]
    portmap.map(living, range(10_000 + 100 * index, 100), addresses, { containerId: `gone${index}` })
  }
  expect(rules(node, "hostports")).toHaveLength(3500)
  expect(portmap.gc([living]).exitCode).toBe(0)
  expect(remains(node)).toEqual(before)
})

test("GC removes what is too much for one transaction, port by port", { timeout: 600_000 }, () => {
  using node = new Node()
  const pod = node.pod()
  const portmap = new Portmap(node)
  const before = remainsWithoutPods(portmap, pod, ["10.1.0.2/16"])
  for (const [index, network] of ["one", "two"].entries()) {
    portmap.map(pod, range(1000 + 12_000 * index, 12_000), [`10.1.0.${index + 2}/16`], { ifname: network })
  }
  expect(portmap.gc([]).exitCode).toBe(0)
  expect(remains(node)).toEqual(before)
})
