import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import type { SystemCall } from "../../lab/strace.ts"
import { nft, Portmap, QUIET, resultOf, rules, ruleset, tcp, udp } from "./network.ts"

const AT_ONCE = 50

const portsOf = (index: number) => [tcp(10_000 + 3 * index), udp(10_001 + 3 * index), tcp(10_002 + 3 * index)]
const addressesOf = (index: number) => [
  `10.1.${index >> 7}.${(index & 127) + 2}/16`,
  `fd00::${(index + 2).toString(16)}/64`,
]

describe(`${AT_ONCE} pods at once`, () => {
  test.each<[string, readonly Implementation[]]>([
    ["by us", ["ours"]],
    ["by us, the Go plugin among them", ["ours", "ours", "ours", "reference"]],
  ])("%s: no rule is lost, and none is left", async (_, implementations) => {
    using node = new Node()
    const pod = node.pod()
    const members = Array.from({ length: AT_ONCE }, (_, index) => ({
      index,
      containerId: `ctr${index}`,
      portmap: new Portmap(node, {}, implementations[index % implementations.length]),
    }))
    const all = (command: string) =>
      Promise.all(
        members.map(({ index, containerId, portmap }) => {
          const config = { prevResult: resultOf(pod, addressesOf(index)) }
          return node.callAsync("portmap", portmap.call(command, pod, { containerId, ports: portsOf(index), config }))
        }),
      )
    for (const outcome of await all("ADD")) expect(outcome).toMatchObject(QUIET)
    for (const family of ["ip", "ip6"] as const) {
      const [mapped, masked] = [rules(node, "hostports", family), rules(node, "masquerading", family)]
      expect([mapped.length, new Set(mapped).size]).toEqual([3 * AT_ONCE, 3 * AT_ONCE])
      expect(masked).toHaveLength((family === "ip" ? 2 : 1) * AT_ONCE)
    }
    for (const outcome of await all("CHECK")) expect(outcome).toMatchObject(QUIET)
    for (const outcome of await all("DEL")) expect(outcome).toMatchObject(QUIET)
    expect(ruleset(node).filter((object) => object["rule"]?.["comment"])).toEqual([])
  })

  test("that all want one port: one has it", async () => {
    using node = new Node()
    const pod = node.pod()
    const calls = Array.from({ length: AT_ONCE }, (_, index) => {
      const config = { prevResult: resultOf(pod, addressesOf(index)) }
      const containerId = `ctr${index}`
      return node.callAsync("portmap", new Portmap(node).call("ADD", pod, { containerId, ports: [tcp(80)], config }))
    })
    const outcomes = await Promise.all(calls)
    const refused = outcomes.filter(({ exitCode }) => exitCode !== 0)
    expect(refused.map(({ error }) => error?.code)).toEqual(Array.from({ length: AT_ONCE - 1 }, () => 102))
    expect([rules(node, "hostports"), rules(node, "hostports", "ip6")].map(({ length }) => length)).toEqual([1, 1])
  })
})

const MEMORY_AND_LOCKS = /^(futex|madvise|mmap|munmap|mprotect|brk|sched_\w+|rt_sig\w+)$/

/** Requests to the kernel and answers from it. */
function counts(calls: readonly SystemCall[]) {
  const start = calls.findIndex(({ name }) => name === "socket")
  const main = calls.slice(start).filter(({ pid, name }) => pid === calls[0]?.pid && !MEMORY_AND_LOCKS.test(name))
  const number = (name: string) => main.filter((call) => call.name === name).length
  return { requests: number("sendto"), answers: number("recvfrom"), all: main.length }
}

function traced(portmap: Portmap, command: string, pod: Pod, index: number, ports = portsOf(index).slice(0, 3)) {
  const config = { prevResult: resultOf(pod, addressesOf(index).slice(0, 1)) }
  const call = portmap.call(command, pod, { containerId: `ctr${index}`, ports, config })
  const { outcome, calls, programs, processes } = portmap.node.trace("portmap", call)
  expect(outcome.exitCode, `${command}: ${outcome.stdout}`).toBe(0)
  expect([processes, programs.length], `${command} starts nothing`).toEqual([0, 1])
  return counts(calls)
}

test("ADD, CHECK and DEL of the 500th pod ask the kernel no more than those of the second, and no verb starts a process", () => {
  using node = new Node()
  const pod = node.pod()
  const portmap = new Portmap(node)
  traced(portmap, "ADD", pod, 0)
  const second = traced(portmap, "ADD", pod, 1)
  const [checked, removed] = ["CHECK", "DEL"].map((command) => traced(portmap, command, pod, 1))
  portmap.map(pod, portsOf(1), addressesOf(1).slice(0, 1), { containerId: "ctr1" })
  for (let index = 2; index < 499; index++) {
    portmap.map(pod, portsOf(index), addressesOf(index).slice(0, 1), { containerId: `ctr${index}` })
  }
  const last = traced(portmap, "ADD", pod, 499)
  expect(last).toMatchObject({ requests: second.requests, answers: second.answers })
  expect(second.requests).toBeLessThanOrEqual(9)
  expect(traced(portmap, "CHECK", pod, 499)).toEqual(checked)
  expect(traced(portmap, "DEL", pod, 499)).toEqual(removed)
  for (const command of ["GC", "STATUS"]) traced(portmap, command, pod, 499)
  const ofAddress = [tcp(9000, 80, "127.0.0.1"), tcp(9001, 80, "10.9.0.1")]
  traced(portmap, "ADD", pod, 599, ofAddress)
  const { answers } = traced(portmap, "DEL", pod, 599, ofAddress)
  expect(answers, "ports of one address do not take reading the others' rules").toBeLessThanOrEqual(
    (removed?.answers ?? 0) + 8,
  )
  const without = traced(portmap, "DEL", pod, 600, [])
  expect(without.answers, "a pod without ports does not read the others' rules").toBeLessThanOrEqual(16)
})

test("the rules live beside those of Docker, kube-proxy and firewalld, by nft and both iptables", () => {
  using node = new Node()
  const pod = node.pod()
  nft(
    node,
    "table ip nat {\nchain DOCKER {\n}\nchain PREROUTING {\ntype nat hook prerouting priority -100; policy accept\nfib daddr type local jump DOCKER\n}\n}",
    "table ip kube-proxy {\nmap service-ips {\ntypeof ip daddr . ip protocol . th dport : verdict\n}\nchain nat-prerouting {\ntype nat hook prerouting priority -100\nip daddr . ip protocol . th dport vmap @service-ips\n}\n}",
    "table inet firewalld {\nchain filter_FORWARD {\ntype filter hook forward priority 10; policy accept\nct state {established, related} accept\nct status dnat accept\n}\n}",
  )
  const add = (tool: string, ...rule: string[]) => expect(node.run(tool, "-t", "nat", ...rule).exitCode).toBe(0)
  for (const tool of ["iptables-nft", "iptables-legacy", "ip6tables-legacy"]) {
    add(tool, "-N", "KUBE-SERVICES")
    add(tool, "-A", "OUTPUT", "-m", "comment", "--comment", "kubernetes service portals", "-j", "KUBE-SERVICES")
    add(tool, "-A", "POSTROUTING", "-j", "MASQUERADE", "-p", "tcp", "--dport", "1")
  }
  const others = () => [
    ruleset(node, { sets: true }).filter((object) => !JSON.stringify(object).includes("cni_hostport")),
    node.run("iptables-legacy-save", "-t", "nat").stdout.replaceAll(/#.*|\[\d+:\d+\]/g, ""),
    node.run("ip6tables-legacy-save", "-t", "nat").stdout.replaceAll(/#.*|\[\d+:\d+\]/g, ""),
  ]
  const before = others()
  const portmap = new Portmap(node)
  portmap.map(pod, portsOf(1), addressesOf(1))
  expect(others()).toEqual(before)
  expect(portmap.check(pod, portsOf(1), addressesOf(1))).toMatchObject(QUIET)
  expect(portmap.del(pod)).toMatchObject(QUIET)
  expect(others()).toEqual(before)
})
