import { readFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import type { Call, Outcome } from "../lab/call.ts"
import { Node, type Pod } from "../lab/node.ts"
import { Network } from "../plugins/bridge/network.ts"
import { plugInDevice } from "../plugins/host-device/network.ts"
import { ofLan, plugIn } from "../plugins/macvlan/network.ts"
import { observe, type Point } from "./injection.ts"
import { readLeases } from "./leases.ts"
import type { Step } from "./scene.ts"
import { stopAt } from "./stopped.ts"
import { bridged } from "./subjects.ts"

const V4 = "10.244.0.0/23"

interface Attached {
  readonly name: string
  readonly plugin: string
  readonly config: (node: Node) => object
}

const ATTACHED: readonly Attached[] = [
  { name: "bridge", plugin: "bridge", config: (node) => ({ ...bridged(node, V4), ipMasq: true }) },
  {
    name: "bridge without addresses",
    plugin: "bridge",
    config: () => ({ type: "bridge", bridge: "cni0", isGateway: false }),
  },
  {
    name: "ptp",
    plugin: "ptp",
    config: (node) => ({ type: "ptp", ipMasq: true, ipam: bridged(node, V4)["ipam"] }),
  },
  { name: "macvlan", plugin: "macvlan", config: (node) => ({ type: "macvlan", master: "uplink", ipam: ofLan(node) }) },
  {
    name: "host-device",
    plugin: "host-device",
    config: (node) => ({ type: "host-device", device: "uplink", ipam: ofLan(node) }),
  },
  { name: "host-local", plugin: "host-local", config: (node) => ({ type: "x", ipam: bridged(node, V4)["ipam"] }) },
]

function prepare(node: Node, plugin: string): void {
  if (plugin === "macvlan") plugIn(node)
  if (plugin === "host-device") plugInDevice(node)
}

describe.each(ATTACHED)("two ADDs of one attachment at the same time by $name", ({ plugin, config }) => {
  test("end with one that won and stays attached, and one that says so, wherever one overtakes the other", async () => {
    using node = new Node()
    prepare(node, plugin)
    await overtakeEverywhere(node, new Twice(node, [node.pod()], plugin, config(node)))
  })

  test("end so in different network namespaces too: the second takes nothing of the first", async () => {
    using node = new Node()
    prepare(node, plugin)
    const scene = new Twice(node, [node.pod(), node.pod()], plugin, config(node))
    scene.addInTurn()
    await overtakeEverywhere(node, scene)
  })

  test("do not both answer 0 if each has seen the other unfinished", async () => {
    using node = new Node()
    prepare(node, plugin)
    const scene = new Twice(node, [node.pod()], plugin, config(node))
    const [step] = scene.steps
    const points = scene.points()
    const done = points.at(-2) as Point // before the answer; a call that need not wait is made before the process stops
    const last = { ...done, nth: done.nth - 1 }
    for (let nth = 1; nth <= done.nth + 3; nth++) {
      const late = { name: last.name, nth }
      const first = await stopAt(node, step, last)
      const second = await stopAt(node, step, late, () => waitsForLock(node))
      const outcomes = [await first.finish(), await second.finish()]
      scene.judge(outcomes, describePoint(late))
    }
  })
})

/** Stops the first ADD at each change that it makes, and starts the second. */
async function overtakeEverywhere(node: Node, scene: Twice): Promise<void> {
  const [step, later] = scene.steps
  for (const point of scene.points()) {
    const first = await stopAt(node, step, point)
    expect(first.isStopped, describePoint(point)).toBe(true)
    let ended = false
    const second = node.callAsync(later.plugin, later.call).finally(() => {
      ended = true
    })
    while (!ended && !waitsForLock(node)) await setTimeout(3)
    scene.judge([await first.finish(), await second], describePoint(point))
  }
}

/** An attachment that is made twice over, in one network namespace or in two. */
class Twice {
  readonly steps: readonly [Step, Step]
  readonly #node: Node
  readonly #network: Network
  readonly #pods: readonly [Pod, Pod]
  readonly #containerId: string

  constructor(node: Node, [pod, other = pod]: readonly [Pod, Pod?], plugin: string, config: object) {
    this.#node = node
    this.#pods = [pod, other]
    this.#containerId = pod.containerId
    this.#network = new Network(node, { ...config, ...(plugin === "host-local" && { type: plugin }) })
    const stepIn = (netns: Pod): Step => {
      const call: Call = { command: "ADD", netns, containerId: this.#containerId, config: this.#network.config }
      return { plugin, call }
    }
    this.steps = [stepIn(pod), stepIn(other)]
    this.#detach() // makes what the network leaves on its node by design
  }

  /** Returns the points at which one call may have been overtaken: what changes something, the answer last. */
  points(): Point[] {
    const [{ plugin, call }] = this.steps
    this.#network.connect(this.#pods[0])
    this.#detach()
    const { points } = observe(this.#node, plugin, call)
    this.#detach()
    return points.filter(({ changes, name }) => changes && name !== "exit_group")
  }

  /** One call when the other is long over. */
  addInTurn(): void {
    const outcomes = this.steps.map(({ plugin, call }) => this.#node.call(plugin, call))
    expect(outcomes[0]?.exitCode).toBe(0)
    this.judge(outcomes, "in turn")
  }

  /** One of the calls has attached the pod; the other says that it is attached, or to try again. */
  judge(outcomes: readonly Outcome[], where: string): void {
    const won = outcomes.filter(({ exitCode }) => exitCode === 0)
    const lost = outcomes.filter(({ exitCode }) => exitCode !== 0)
    expect(won, `${where}: ${outcomes.map(({ stdout }) => stdout).join(" ")}`).toHaveLength(1)
    expect([11, 102], where).toContain(lost[0]?.error?.code)
    const prevResult = won[0]?.result
    if (!prevResult) throw new Error(`${where}: no result`)
    const pod = outcomes[0]?.exitCode === 0 ? this.#pods[0] : this.#pods[1]
    const checked = this.#network.check(pod, prevResult, { containerId: this.#containerId })
    expect(checked, where).toMatchObject({ exitCode: 0, stdout: "" })
    expect(readLeases(this.#node), where).toHaveLength(prevResult.ips?.length ?? 0)
    this.#detach()
  }

  #detach(): void {
    for (const pod of new Set(this.#pods)) {
      expect(this.#network.del(pod, { containerId: this.#containerId })).toMatchObject({ exitCode: 0 })
      expect(pod.link("eth0")).toBeUndefined()
    }
    expect(readLeases(this.#node)).toEqual([])
    const veths = this.#node.ip("link", "show", "type", "veth").map(({ ifname }) => ifname)
    expect(veths.filter((name) => name !== "uplink")).toEqual([])
  }
}

function describePoint({ name, nth }: Point): string {
  return `${name} ${nth}`
}

/** If a process on the node waits for a lock that another holds. */
function waitsForLock(node: Node): boolean {
  const waiting = readFileSync("/proc/locks", "utf8")
    .split("\n")
    .filter((line) => line.includes("->"))
  const pids = waiting.map((line) => Number(line.trim().split(/\s+/)[5]))
  return pids.some((pid) => node.processes().includes(pid))
}
