import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { ALL, backups, prepare, settings, tuning } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }

describe("DEL succeeds, and leaves no backup,", () => {
  test("without a namespace (the reference leaves it)", () => {
    using node = new Node()
    for (const [implementation, left] of [
      ["ours", 0],
      ["reference", 1],
    ] as const) {
      const pod = node.pod()
      const network = tuning(node, ALL, implementation)
      network.connect(pod, { config: prepare(node, pod, `veth-${implementation}`) })
      expect(network.ask("DEL", "", { containerId: pod.containerId })).toMatchObject(QUIET)
      expect(Object.keys(backups(node))).toHaveLength(left)
    }
  })

  test.each(["/run/netns/gone", "/etc/hostname", "/proc/1/cmdline"])(
    "with the path %s, which leads to no namespace",
    (netns) => {
      using node = new Node()
      const pod = node.pod()
      const network = tuning(node, ALL)
      network.connect(pod, { config: prepare(node, pod) })
      expect(network.ask("DEL", netns, { containerId: pod.containerId })).toMatchObject(QUIET)
      expect(backups(node)).toEqual({})
    },
  )

  test("without an ADD before it, and a second time", () => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, ALL)
    expect(network.del(pod)).toMatchObject(QUIET)
    const prevResult = network.connect(pod, { config: prepare(node, pod) })
    for (const _ of [1, 2]) expect(network.del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect(backups(node)).toEqual({})
  })

  test("with the interface gone, or renamed", () => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, ALL)
    const prevResult = network.connect(pod, { config: prepare(node, pod) })
    pod.ip("link", "del", "eth0")
    expect(network.del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect(backups(node)).toEqual({})
  })

  test.each([
    ["ADD would refuse", { sysctl: { "kernel.x": 1 }, mac: "x", mtu: -1, promisc: "x", args: [] }],
    ["has nothing of tuning's", { sysctl: undefined, mac: undefined, mtu: undefined, promisc: undefined }],
  ])("with a configuration that %s: the interface is what it was", (_, odd) => {
    using node = new Node()
    const pod = node.pod()
    const told = prepare(node, pod)
    const before = settings(pod)
    const network = tuning(node, ALL)
    const prevResult = network.connect(pod, { config: told })
    expect(network.del(pod, { args: "x", config: { ...odd, prevResult } })).toMatchObject(QUIET)
    expect([settings(pod), backups(node)]).toEqual([before, {}])
  })

  test.each(["", "{", "[]", '{"mac":"x","mtu":-5}'])("with the damaged backup %j (the reference leaves it)", (text) => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, ALL)
    const prevResult = network.connect(pod, { config: prepare(node, pod) })
    const [name = ""] = Object.keys(backups(node))
    writeFileSync(join(node.dir, "tuning", name), text)
    expect(network.del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect(backups(node)).toEqual({})
  })

  test("with a backup that is gone", () => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, ALL)
    const prevResult = network.connect(pod, { config: prepare(node, pod) })
    node.run("rm", "-r", join(node.dir, "tuning"))
    expect(network.del(pod, { config: { prevResult } })).toMatchObject(QUIET)
  })

  test("though the kernel refuses what was before, and says so", () => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, { mtu: 1300 })
    const prevResult = network.connect(pod, { config: prepare(node, pod) })
    const [name = ""] = Object.keys(backups(node))
    writeFileSync(join(node.dir, "tuning", name), '{"mtu": 4000000000}')
    const { exitCode, stderr } = network.del(pod, { config: { prevResult } })
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("eth0 keeps some of what tuning has set")])
    expect(backups(node)).toEqual({})
  })

  test("with ids that no file can be named by", () => {
    using node = new Node()
    const containerId = "c".repeat(300)
    const { exitCode } = tuning(node, ALL).ask("DEL", node.pod(), { containerId, config: { name: "n".repeat(300) } })
    expect(exitCode).toBe(0)
  })
})

describe("DEL by a path that leads to another pod by now", () => {
  const MAKERS = ["ours", "reference"] as const

  test.each(MAKERS)("spares that pod's interface, which %s has tuned, and removes the backup", (maker) => {
    for (const isTold of [true, false]) {
      using node = new Node()
      const [first, second] = [node.pod(), node.pod()]
      const tools = [first, second].map((pod, at) => ({ pod, told: prepare(node, pod, `veth${at}`) }))
      const path = join(node.dir, "netns")
      symlinkSync(first.path, path)
      const network = tuning(node, { mtu: 1300, promisc: true }, maker)
      const add = (pod: Pod, config: object) =>
        network.ask("ADD", path, { containerId: pod.containerId, config: { ...config } })
      const { result } = add(first, tools[0]?.told ?? {})
      node.run("ln", "-sfn", second.path, path)
      expect(add(second, tools[1]?.told ?? {}).exitCode).toBe(0)
      const tuned = settings(second)
      const config = isTold ? { prevResult: result } : {}
      expect(network.as("ours").ask("DEL", path, { containerId: first.containerId, config })).toMatchObject(QUIET)
      expect(settings(second)).toEqual(tuned)
      expect(Object.keys(backups(node))).toEqual([`${second.containerId}_eth0.json`])
    }
  })

  test("is told by nothing but the MAC address of before: the mounted namespace is still the pod's", () => {
    using node = new Node()
    const pod = node.pod()
    const told = prepare(node, pod)
    const before = settings(pod)
    const network = tuning(node, ALL)
    network.connect(pod, { config: told })
    expect(network.del(pod, { config: told })).toMatchObject(QUIET)
    expect(settings(pod)).toEqual(before)
  })
})

describe("GC", () => {
  test("removes what is kept for attachments that are not valid, names it, and spares other networks and files", () => {
    using node = new Node()
    const [kept, stale, foreign] = [node.pod(), node.pod(), node.pod()]
    const network = tuning(node, { mtu: 1300 })
    const other = tuning(node, { mtu: 1300, name: "other" })
    network.connect(kept, { config: prepare(node, kept, "veth0") })
    network.connect(stale, { config: prepare(node, stale, "veth1") })
    other.connect(foreign, { config: prepare(node, foreign, "veth2") })
    writeFileSync(join(node.dir, "tuning/readme.json"), "x")
    const { exitCode, stderr } = network.gc([kept])
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining(`removed backup "${stale.containerId}_eth0.json"`)])
    const left = [`${kept.containerId}_eth0.json`, `${foreign.containerId}_eth0.json`, "readme.json"]
    expect(Object.keys(backups(node)).sort()).toEqual(left.sort())
    expect(network.gc([kept])).toMatchObject(QUIET)
  })

  test("removes nothing if the runtime does not say which attachments are valid", () => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, { mtu: 1300 })
    network.connect(pod, { config: prepare(node, pod) })
    expect(network.ask("GC", undefined).exitCode).toBe(0)
    expect(Object.keys(backups(node))).toHaveLength(1)
  })

  test("of a node without any, or with a file in the directory's place, does nothing", () => {
    using node = new Node()
    expect(tuning(node).gc([])).toMatchObject(QUIET)
    expect(tuning(node, { dataDir: "/etc/hostname" }).gc([])).toMatchObject(QUIET)
  })

  test("goes on after what cannot be removed, and says so in the end", () => {
    using node = new Node()
    const pod = node.pod()
    const network = tuning(node, { mtu: 1300 })
    network.connect(pod, { config: prepare(node, pod) })
    mkdirSync(join(node.dir, "tuning/.cni-ts/net/a"))
    expect(network.gc([]).error).toMatchObject({ code: 101, msg: expect.stringContaining("/a") })
    expect([backups(node), readdirSync(join(node.dir, "tuning/.cni-ts/net"))]).toEqual([{}, ["a"]])
  })
})
