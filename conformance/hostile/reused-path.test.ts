import { spawn } from "node:child_process"
import { once } from "node:events"
import { readlinkSync, symlinkSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Result } from "../lab/call.ts"
import type { Implementation } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { type Config, hostLocal, Network } from "../plugins/bridge/network.ts"
import { macvlan, ofLan, plugIn } from "../plugins/macvlan/network.ts"
import { ptp } from "../plugins/ptp/network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }

type Make = (node: Node, maker: Implementation, config?: Config) => Network

const NETWORKS: Readonly<Record<string, Make>> = {
  bridge: (node, maker, config) => new Network(node, { isGateway: true, ipam: hostLocal(node), ...config }, maker),
  ptp: (node, maker, config) => ptp(node, config, maker),
  macvlan: (node, maker, config) => macvlan(node, { ipam: ofLan(node), ...config }, maker),
}

const MAKERS: readonly Implementation[] = ["ours", "reference"]

/** The ways in which the runtime may tell ADD's result. */
const TOLD: Readonly<Record<string, (result: Result) => { readonly prevResult?: unknown }>> = {
  "told the result of ADD": (prevResult) => ({ prevResult }),
  "told nothing": () => ({}),
  "told what is no result": () => ({ prevResult: { cniVersion: "1.1.0", interfaces: "eth0" } }),
}

/** A path like /proc/PID/ns/net: a link, whose end may change. */
class Path {
  readonly text: string

  constructor(node: Node, pod: Pod) {
    this.text = join(node.dir, "netns")
    this.lead(pod)
  }

  lead(pod: Pod): void {
    if (this.#leads) unlinkSync(this.text)
    symlinkSync(pod.path, this.text)
    this.#leads = true
  }

  #leads = false
}

describe.each(Object.entries(NETWORKS))("DEL of %s by a path that leads to another pod by now", (plugin, make) => {
  describe.each(MAKERS)("spares that pod's interface, which %s made", (maker) => {
    test.each(Object.entries(TOLD))("%s", (_, told) => {
      using node = new Node()
      if (plugin === "macvlan") plugIn(node)
      const [first, second] = [node.pod(), node.pod()]
      const network = make(node, maker)
      const path = new Path(node, first)
      const { containerId } = first
      const { result = {} } = network.ask("ADD", path.text, { containerId })
      network.connect(second)
      const before = second.ip("-d", "addr", "show")
      first.ip("link", "del", "eth0")
      path.lead(second)
      const config = told(result)
      expect(network.as("ours").ask("DEL", path.text, { containerId, config })).toMatchObject(QUIET)
      expect(second.ip("-d", "addr", "show")).toEqual(before)
      expect(network.as("ours").del(second, { config: config.prevResult === result ? {} : config })).toMatchObject(
        QUIET,
      )
      expect(second.link("eth0")).toBeUndefined()
    })

    test("where the path is a mount, as its name was given to another namespace", () => {
      using node = new Node()
      if (plugin === "macvlan") plugIn(node)
      const [first, second] = [node.pod(), node.pod()]
      const network = make(node, maker)
      const prevResult = network.connect(first)
      network.connect(second)
      first.ip("link", "del", "eth0")
      const { containerId } = first
      expect(network.as("ours").del(second, { containerId, config: { prevResult } })).toMatchObject(QUIET)
      expect(second.link("eth0")).toBeDefined()
    })
  })

  test("removes what the reference made where the result of ADD says that it is the pod's", () => {
    using node = new Node()
    if (plugin === "macvlan") plugIn(node)
    const pod = node.pod()
    const network = make(node, "reference")
    const path = new Path(node, pod)
    const { result = {} } = network.ask("ADD", path.text)
    expect(network.as("ours").ask("DEL", path.text, { config: { prevResult: result } })).toMatchObject(QUIET)
    expect(pod.link("eth0")).toBeUndefined()
  })
})

test.each(["bridge", "ptp"])(
  "DEL of %s removes what the reference made where the pod has changed its MAC address",
  (plugin) => {
    using node = new Node()
    const pod = node.pod()
    const network = (NETWORKS[plugin] as Make)(node, "reference")
    const prevResult = network.connect(pod)
    pod.ip("link", "set", "eth0", "address", "02:00:00:00:00:99")
    expect(network.as("ours").del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect(pod.link("eth0")).toBeUndefined()
  },
)

test("DEL by the path of a process that is another pod's spares its interface and its lo (the reference removes both)", async () => {
  using node = new Node()
  const pod = node.pod()
  const network = ptp(node, {}, "reference")
  const process = spawn("nsenter", [`--net=${pod.path}`, "--", "sh", "-c", "echo; exec sleep 100"])
  try {
    await once(process.stdout, "data")
    const netns = `/proc/${process.pid}/ns/net`
    expect(readlinkSync(netns)).not.toBe(readlinkSync("/proc/self/ns/net"))
    const lo = { plugin: "loopback", config: { cniVersion: "1.1.0", name: "lo", type: "loopback" } }
    const attach = () => {
      network.connect(pod)
      node.call(lo.plugin, { command: "ADD", netns: pod, config: lo.config })
    }
    const remove = (implementation: Implementation) => {
      const call = { containerId: "another", implementation }
      expect(network.as(implementation).ask("DEL", netns, call)).toMatchObject({ exitCode: 0 })
      expect(node.call(lo.plugin, { command: "DEL", netns, config: lo.config, ...call })).toMatchObject({ exitCode: 0 })
      return [pod.link("eth0") !== undefined, pod.link("lo")?.flags?.includes("UP")]
    }
    attach()
    expect(remove("ours")).toEqual([true, true])
    expect(remove("reference")).toEqual([false, false])
  } finally {
    const ended = once(process, "exit")
    process.kill("SIGKILL")
    await ended
  }
})
