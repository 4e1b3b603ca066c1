import { existsSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { podOfTwo, QUIET, rules, Sbr, told, V4 } from "./network.ts"

describe("DEL succeeds", () => {
  test.each(["", "/run/netns/cnits-gone", "/etc/hostname"])(
    "with the path %j, which leads to no namespace, and makes none (the reference fails, and leaves a file)",
    (netns) => {
      using node = new Node()
      const pod = podOfTwo(node)
      const sbr = new Sbr(node, pod)
      expect(sbr.call("ADD").exitCode).toBe(0)
      expect(sbr.ask("DEL", netns, { ifname: "net1", containerId: pod.containerId })).toMatchObject(QUIET)
      expect(existsSync("/run/netns/cnits-gone")).toBe(false)
    },
  )

  test("without an ADD before it, and a second time", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("DEL")).toMatchObject(QUIET)
    expect(sbr.call("ADD").exitCode).toBe(0)
    for (const _ of [1, 2]) expect(sbr.call("DEL")).toMatchObject(QUIET)
    expect(rules(pod)).toEqual([])
  })

  test.each([
    ["without a previous result, by the interface's addresses", { prevResult: null }],
    ["with a previous result that cannot be read", { prevResult: { ips: 1 } }],
    ["with a configuration that ADD would refuse", { table: "x", prevResult: [] }],
  ])("%s", (_, config) => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("ADD").exitCode).toBe(0)
    expect(sbr.call("DEL", config)).toMatchObject(QUIET)
    expect(rules(pod)).toEqual([])
  })

  test("with the interface gone, by the addresses in the previous result (the reference leaves the rules)", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("ADD").exitCode).toBe(0)
    pod.ip("link", "del", "net1")
    expect(sbr.of("reference").call("DEL").exitCode).toBe(0)
    expect(rules(pod)).toHaveLength(2)
    expect(sbr.call("DEL")).toMatchObject(QUIET)
    expect(rules(pod)).toEqual([])
  })

  test("with the interface gone and nothing that tells its addresses: rules for none of the pod's to an empty table go", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("ADD").exitCode).toBe(0)
    pod.ip("rule", "add", "from", "10.0.0.2", "table", "300")
    pod.ip("rule", "add", "from", "10.9.9.9", "table", "301")
    pod.ip("route", "add", "default", "via", "10.0.0.1", "table", "301")
    pod.ip("link", "del", "net1")
    expect(sbr.call("DEL", { prevResult: null })).toMatchObject(QUIET)
    expect(rules(pod)).toEqual(["10.9.9.9 to 301", "10.0.0.2 to 300"])
  })

  test("with an address gone from the interface", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("ADD").exitCode).toBe(0)
    pod.ip("addr", "flush", "dev", "net1")
    expect(sbr.call("DEL")).toMatchObject(QUIET)
    expect(rules(pod)).toEqual([])
  })
})

test("ADD after DEL, of the same interface: everything is there again", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const sbr = new Sbr(node, pod)
  for (const command of ["ADD", "DEL", "ADD", "CHECK"]) expect(sbr.call(command).exitCode).toBe(0)
  expect(rules(pod)).toEqual(["192.168.1.209 to 100", "fd01::209 to 101"])
})

describe("DEL by a path that leads to another pod by now", () => {
  test.each([
    ["whose interface has another MAC address", ["set", "net1", "address", "02:00:00:00:00:99"]],
    ["which has no such interface", ["del", "net1"]],
  ])("%s spares that pod's rules", (_, change) => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("ADD").exitCode).toBe(0)
    pod.ip("link", ...change)
    const path = join(node.dir, "netns")
    symlinkSync(pod.path, path)
    const prevResult = { ...told(pod), interfaces: [{ name: "net1", mac: "02:00:00:00:00:11", sandbox: path }] }
    expect(sbr.ask("DEL", path, { ifname: "net1", config: { prevResult } })).toMatchObject(QUIET)
    expect(rules(pod)).toHaveLength(2)
  })
})

test("DEL leaves other rules for the pod's addresses (the reference removes them)", () => {
  using node = new Node()
  const others = [
    ["to", "10.9.0.0/16", "table", "300"],
    ["fwmark", "7", "table", "301"],
    ["ipproto", "tcp", "dport", "80", "table", "302"],
    ["table", "main"],
  ]
  const pod = podOfTwo(node)
  const sbr = new Sbr(node, pod, { prevResult: told(pod, [V4]) })
  expect(sbr.call("ADD").exitCode).toBe(0)
  for (const rule of others) pod.ip("rule", "add", "from", "192.168.1.209", ...rule)
  const left = (["ours", "reference"] as const).map((implementation) => {
    expect(sbr.of(implementation).call("DEL").exitCode).toBe(0)
    return rules(pod).length
  })
  expect(left).toEqual([4, 0])
})
