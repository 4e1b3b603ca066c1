import { describe, expect, test } from "vitest"
import type { Call } from "../lab/call.ts"
import { countInstructions } from "../lab/instructions.ts"
import { Node, type Pod } from "../lab/node.ts"
import { LimitedPod } from "../plugins/bandwidth/limited.ts"
import { Firewall } from "../plugins/firewall/network.ts"
import { Portmap, resultOf, tcp } from "../plugins/portmap/network.ts"
import { podOfTwo, Sbr } from "../plugins/sbr/network.ts"
import { ALL, prepare, tuning } from "../plugins/tuning/network.ts"

const LIMITS = { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 16e6, egressBurst: 16e5, egressMode: "ifb" }
const ADDRESS = ["10.1.0.2/24"]

/** Returns the call of a plugin for a pod that is beside another. */
type Prepare = (node: Node, pod: Pod) => (command: string) => Call

const behind = (pod: Pod, call: Firewall["call"]) => (command: string) =>
  call(command, pod, { config: { prevResult: resultOf(pod, ADDRESS) } })

const mapped =
  (backend: string): Prepare =>
  (node, pod) => {
    const portmap = new Portmap(node, { backend })
    portmap.map(node.pod(), [tcp(9000)], ["10.1.0.9/24"])
    return behind(pod, (command, netns, more) => portmap.call(command, netns, { ...more, ports: [tcp(8080)] }))
  }

/** Thousands of instructions outside of the kernel, of ADD and CHECK, as in instructions.test.ts. */
const BUDGETS: readonly (readonly [plugin: string, how: string, Prepare, add: number, check: number])[] = [
  [
    "bandwidth",
    "both limits, by ifb",
    (node) => {
      const limited = new LimitedPod(node)
      return (command) => limited.asCall(command, LIMITS)
    },
    1465,
    1365,
  ],
  [
    "tuning",
    "all of an interface",
    (node, netns) => {
      const { config } = tuning(node, { ...ALL, ...prepare(node, netns) })
      return (command) => ({ command, netns, config })
    },
    1285,
    1030,
  ],
  [
    "sbr",
    "two addresses",
    (node) => {
      const netns = podOfTwo(node)
      const { config } = new Sbr(node, netns)
      return (command) => ({ command, netns, config, ifname: "net1" })
    },
    2915,
    1575,
  ],
  [
    "firewall",
    "by iptables",
    (node, pod) => {
      const firewall = new Firewall(node)
      firewall.allow(node.pod(), ["10.1.0.9/24"])
      return behind(pod, (...call) => firewall.call(...call))
    },
    2275,
    1880,
  ],
  ["portmap", "one port", mapped("nftables"), 1905, 1475],
  ["portmap", "one port, by iptables", mapped("iptables"), 4655, 4585],
]

/** Names differ from run to run, and with them digests. */
const MARGIN = 1.05

describe("chained plugins keep to their instructions", () => {
  test.each(BUDGETS)("%s: %s", { timeout: 120_000 }, (plugin, how, prepare, ...budgets) => {
    using node = new Node()
    const call = prepare(node, node.pod())
    const counted = ["ADD", "CHECK"].map((command) => {
      const { outcome, instructions } = countInstructions(node, plugin, call(command))
      expect(outcome, command).toMatchObject({ exitCode: 0, stderr: "" })
      return Math.round(instructions / 1000)
    })
    console.log(`${plugin}, ${how}: ${counted.join(", ")}`)
    for (const [at, budget] of budgets.entries()) expect(counted[at]).toBeLessThanOrEqual(budget * MARGIN)
  })
})

/** A rule of another pod costs what it takes to pass over it; to decode it would be 25 thousand instructions. */
const PASSED_OVER = 5000
const CROWD = 40

describe("the rules of other pods are not decoded", () => {
  test("by firewall's ADD and CHECK", { timeout: 120_000 }, () => {
    using node = new Node()
    const firewall = new Firewall(node)
    const pod = node.pod()
    const fill = (from: number, to: number) => {
      for (let at = from; at < to; at++) firewall.allow(pod, [`10.1.1.${at}/24`], { containerId: `other${at}` })
    }
    const count = (command: string, containerId: string, address: string) => {
      const more = { containerId, config: { prevResult: resultOf(pod, [address]) } }
      const { outcome, instructions } = countInstructions(node, "firewall", firewall.call(command, pod, more))
      expect(outcome).toMatchObject({ exitCode: 0, stderr: "" })
      return instructions
    }
    fill(1, 2)
    const [add, check] = ["ADD", "CHECK"].map((command) => count(command, "ctrA", "10.1.0.2/24"))
    fill(2, 2 + CROWD)
    const room = 2 * CROWD * PASSED_OVER
    expect(count("ADD", "ctrB", "10.1.0.3/24") - (add ?? 0)).toBeLessThan(room)
    expect(count("CHECK", "ctrB", "10.1.0.3/24") - (check ?? 0)).toBeLessThan(room)
  })

  test("by portmap's ADD of iptables' rules", { timeout: 120_000 }, () => {
    using node = new Node()
    const portmap = new Portmap(node, { backend: "iptables" })
    const pod = node.pod()
    const count = (containerId: string, port: number) => {
      const more = { containerId, ports: [tcp(port)], config: { prevResult: resultOf(pod, ADDRESS) } }
      const { outcome, instructions } = countInstructions(node, "portmap", portmap.call("ADD", pod, more))
      expect(outcome).toMatchObject({ exitCode: 0, stderr: "" })
      return instructions
    }
    portmap.map(pod, [tcp(9000)], ["10.1.1.1/24"], { containerId: "other" })
    const alone = count("ctrA", 8080)
    for (let at = 0; at < CROWD; at++) {
      portmap.map(pod, [tcp(9001 + at)], [`10.1.1.${at + 2}/24`], { containerId: `other${at}` })
    }
    expect(count("ctrB", 8081) - alone).toBeLessThan(3 * CROWD * PASSED_OVER)
  })
})
