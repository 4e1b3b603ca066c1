import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Chain } from "./chain.ts"
import { Node } from "./node.ts"
import { output } from "./run.ts"
import { snapshot } from "./snapshot.ts"

const implementation = "reference"

function bridged(node: Node, more: object = {}) {
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.244.1.0/24" }]], dataDir: join(node.dir, "ipam") }
  return { cniVersion: "1.0.0", name: "lab", type: "bridge", bridge: "cni0", isGateway: true, ipam, ...more }
}

describe("a node", () => {
  test("is gone with its pods and files once it is disposed", () => {
    let names: string[] = []
    let dir = ""
    {
      using node = new Node()
      names = [node.name, node.pod().name]
      dir = node.dir
      writeFileSync(join(dir, "file"), "")
      expect(existsSync(`/run/netns/${node.name}`)).toBe(true)
    }
    expect(names.filter((name) => existsSync(`/run/netns/${name}`))).toEqual([])
    expect(existsSync(dir)).toBe(false)
  })

  test("tells when a process was left running on it, and ends it", () => {
    const node = new Node()
    node.run("sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
    const [pid] = node.processes()
    expect(() => node[Symbol.dispose]()).toThrow(`processes left running on ${node.name}: ${pid}`)
    expect(existsSync(node.path)).toBe(false)
  })

  test("starts with its loopback interface up, its pods with theirs down", () => {
    using node = new Node()
    expect(node.link("lo")?.flags).toContain("UP")
    expect(node.pod().link("lo")?.flags).not.toContain("UP")
  })
})

describe("a call", () => {
  test("connects two pods that reach each other through the reference's bridge", () => {
    using node = new Node()
    const config = bridged(node)
    const [one, two] = [node.pod(), node.pod()]
    const added = node.call("bridge", { command: "ADD", netns: one, config, implementation })
    node.call("bridge", { command: "ADD", netns: two, config, implementation })
    expect(added).toMatchObject({ exitCode: 0, result: { ips: [{ address: "10.244.1.2/24" }] } })
    expect(one.addresses("eth0")).toEqual(["10.244.1.2/24"])
    expect(one.pings("10.244.1.3")).toBe(true)
    expect(one.pings("10.244.1.99")).toBe(false)
    expect(node.bridge("link", "show").filter((port) => port.master === "cni0")).toHaveLength(2)
    expect(node.sysctl("net/ipv4/ip_forward")).toBe("1")
  })

  test("sends exactly the environment and the stdin asked for", () => {
    using node = new Node()
    mkdirSync(join(node.dir, "bin"))
    writeFileSync(join(node.dir, "bin/host-local"), "#!/bin/sh\nenv >$0.env\ncat >$0.stdin\n", { mode: 0o755 })
    const config = bridged(node)
    const env = { PATH: undefined, EXTRA: "1" }
    const path = join(node.dir, "bin")
    node.call("bridge", {
      command: "DEL",
      netns: "",
      containerId: "c",
      args: "IgnoreUnknown=1",
      path,
      config,
      env,
      implementation,
    })
    const seen = readFileSync(join(path, "host-local.env"), "utf8").trim().split("\n")
    const expected = [
      "CNI_ARGS=IgnoreUnknown=1",
      "CNI_COMMAND=DEL",
      "CNI_CONTAINERID=c",
      "CNI_IFNAME=eth0",
      "CNI_NETNS=",
      "EXTRA=1",
    ]
    expect(seen.filter((line) => !line.startsWith("PWD=")).sort()).toEqual([...expected, `CNI_PATH=${path}`].sort())
    expect(readFileSync(join(path, "host-local.stdin"), "utf8")).toBe(JSON.stringify(config))
  })

  test("reports the error document and the exit code of a plugin that fails", () => {
    using node = new Node()
    const outcome = node.call("bridge", { command: "ADD", stdin: "nonsense", env: { CNI_PATH: "" }, implementation })
    expect(outcome).toMatchObject({ exitCode: 1, result: undefined, error: { code: 4 } })
    expect(outcome.error?.msg).toBe("required env variables [CNI_NETNS,CNI_PATH] missing")
  })

  test("survives a plugin that does not read a large stdin", () => {
    using node = new Node()
    const outcome = node.call("bridge", { command: "VERSION", stdin: "x".repeat(10 << 20), implementation })
    expect(outcome.result?.supportedVersions).toContain("1.1.0")
  })

  test("can be given a /var/lib of the node's own", () => {
    using node = new Node()
    const config = { cniVersion: "1.0.0", name: "lab", ipam: { type: "host-local", subnet: "10.244.1.0/24" } }
    const call = { netns: node.pod(), config, ownVarLib: true, implementation } as const
    expect(node.call("host-local", { command: "ADD", ...call }).exitCode).toBe(0)
    const leases = join(node.dir, "var-lib/cni/networks/lab")
    expect(readdirSync(leases).sort()).toEqual(["10.244.1.2", "last_reserved_ip.0", "lock"])
    expect(node.call("host-local", { command: "DEL", ...call }).exitCode).toBe(0)
    expect(readdirSync(leases)).not.toContain("10.244.1.2")
  })

  test("may overlap with others", async () => {
    using node = new Node()
    const config = bridged(node)
    const pods = [node.pod(), node.pod(), node.pod()]
    const added = await Promise.all(
      pods.map((netns) => node.callAsync("bridge", { command: "ADD", netns, config, implementation })),
    )
    expect(new Set(added.map((outcome) => outcome.result?.ips?.[0]?.address)).size).toBe(3)
  })
})

test("a chain hands the result on and removes in reverse order", () => {
  using node = new Node()
  const pod = node.pod()
  const { cniVersion, name, ...bridge } = bridged(node)
  const list = { cniVersion, name, plugins: [bridge, { type: "loopback" }] }
  const chain = new Chain(node, list, { netns: pod, implementation })
  expect(chain.add().map((outcome) => outcome.result?.ips?.[0]?.address)).toEqual(["10.244.1.2/24", "10.244.1.2/24"])
  expect(chain.check().map((outcome) => outcome.exitCode)).toEqual([0, 0])
  expect(chain.del().map((outcome) => outcome.exitCode)).toEqual([0, 0])
  expect(pod.link("eth0")).toBeUndefined()
})

describe("a snapshot", () => {
  test("is the same before ADD and after DEL, but for the bridge, forwarding and the order of leases", () => {
    using node = new Node()
    const netns = node.pod()
    const config = bridged(node)
    const attach = () => node.call("bridge", { command: "ADD", netns, config, implementation }).exitCode
    const detach = () => node.call("bridge", { command: "DEL", netns, config, implementation }).exitCode
    expect([attach(), detach()]).toEqual([0, 0])
    const before = snapshot(node)
    expect(attach()).toBe(0)
    const between = snapshot(node)
    expect(between.links).not.toEqual(before.links)
    expect(between.pods).not.toEqual(before.pods)
    expect(between.files).toMatchObject({
      "ipam/lab/10.244.1.3": expect.stringMatching(/^600 container-of-.*\r\neth0$/),
    })
    expect(detach()).toBe(0)
    const turn = { "ipam/lab/last_reserved_ip.0": "600 10.244.1.3" }
    expect(snapshot(node)).toEqual({ ...before, files: { ...before.files, ...turn } })
  })

  test("sees an address, a route, a sysctl, a rule and a file", () => {
    using node = new Node()
    const pod = node.pod()
    const seen = [snapshot(node)]
    const changes = [
      () => node.ip("addr", "add", "198.51.100.1/32", "dev", "lo"),
      () => node.ip("route", "add", "203.0.113.0/24", "dev", "lo"),
      () => node.sysctl("net/ipv6/conf/all/forwarding", "1"),
      () => output(node.inside(["nft", "add", "table", "inet", "lab"])),
      () => writeFileSync(join(node.dir, "file"), "", { mode: 0o600 }),
      () => writeFileSync(join(node.dir, "file"), "content"),
      () => pod.ip("link", "set", "lo", "up"),
    ]
    for (const change of changes) {
      change()
      const now = snapshot(node)
      expect(now).toEqual(snapshot(node))
      expect(now).not.toEqual(seen.at(-1))
      seen.push(now)
    }
  })
})

describe("a trace", () => {
  test("lists the programs that the reference starts", () => {
    using node = new Node()
    const trace = node.trace("bridge", { command: "ADD", netns: node.pod(), config: bridged(node), implementation })
    expect(trace.outcome.exitCode).toBe(0)
    expect(trace.programs.map((program) => program.split("/").at(-1))).toEqual(["bridge", "host-local"])
    expect(trace.processes).toBeGreaterThan(0)
    expect(trace.calls.filter((call) => call.name === "sendto").length).toBeGreaterThan(10)
    expect(trace.calls.every((call) => !call.args.includes("unfinished"))).toBe(true)
  })

  test("is limited to the system calls asked for", () => {
    using node = new Node()
    const { calls } = node.trace("loopback", { command: "VERSION", implementation }, "write")
    const names = new Set(calls.map((call) => call.name))
    expect([...names].filter((name) => !name.startsWith("clone")).sort()).toEqual(["execve", "write"])
  })
})

test("cnitool keeps its cache on the node, not on this machine", () => {
  using node = new Node()
  const { cniVersion, name, ...bridge } = bridged(node)
  const network = { cniVersion, name, plugins: [bridge] }
  const netns = node.pod()
  const added = node.cnitool({ command: "add", network, netns, implementation })
  expect(added.exitCode).toBe(0)
  const cached = readdirSync(join(node.dir, "var-lib/cni/results"))
  expect(cached).toEqual([expect.stringMatching(/^lab-cnitool-[0-9a-f]{20}-eth0$/)])
  expect(existsSync(`/var/lib/cni/results/${cached[0]}`)).toBe(false)
  expect(node.cnitool({ command: "del", network, netns, implementation }).exitCode).toBe(0)
})
