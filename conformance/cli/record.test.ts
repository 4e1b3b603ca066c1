import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { CnitoolCall } from "../lab/cnitool.ts"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { BASH, run } from "../lab/run.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { type Recorded, Recorder, recordingIn, replay, tracesIn } from "./recorder.ts"

let node: Node
beforeAll(() => {
  node = new Node()
})
afterAll(() => node[Symbol.dispose]())

const capabilityArgs = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 10_000_000, ingressBurst: 1_000_000 },
}

const CHAIN = ["bridge", "host-local", "portmap", "bandwidth"]

/** A plugin directory of that implementation, with nothing but what the network needs. */
function pluginDirectory(name: string, implementation: Implementation, wanted = CHAIN): string {
  const directory = join(node.dir, name)
  mkdirSync(directory)
  for (const plugin of wanted) copyFileSync(join(binDirectory(implementation), plugin), join(directory, plugin))
  return directory
}

/** Attaches a pod, checks it and removes it, as a runtime does; the node has others before and after it. */
function liveOnce(path: string, pod: Pod): void {
  const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=checkout"
  for (const command of ["add", "check", "del"] as const) {
    const call: CnitoolCall = { command, network: PODNET, netns: pod, path, args, capabilityArgs }
    const { exitCode, stdout, stderr } = node.cnitool(call)
    expect([exitCode, stderr], `${command}: ${stdout}`).toEqual([0, ""])
  }
}

const shape = (calls: ReadonlyMap<string, Recorded>) => [...calls.keys()].map((name) => name.replace(/\.json$/, ""))

const LIFE = [
  ...CHAIN.map((plugin) => `${plugin}-ADD`),
  ...CHAIN.map((plugin) => `${plugin}-CHECK`),
  ...["bandwidth", "portmap", "bridge", "host-local"].map((plugin) => `${plugin}-DEL`),
].map((name, at) => `${String(at + 1).padStart(4, "0")}-${name}`)

describe.each<Implementation>(["ours", "reference"])("a pod's life by the plugins of %s", (implementation) => {
  let plugins: string
  let recording: string
  let calls: ReadonlyMap<string, Recorded>
  beforeAll(async () => {
    plugins = pluginDirectory(`bin-${implementation}`, implementation)
    recording = join(node.dir, `recording-${implementation}`)
    const pod = node.pod()
    liveOnce(plugins, node.pod())
    const recorder = await Recorder.start(recording, plugins)
    liveOnce(plugins, pod)
    expect(await recorder.end()).toBe(`${recording}: 12 calls are recorded\n`)
    calls = recordingIn(recording)
  })

  test("is recorded call by call, with those that bridge makes itself", () => {
    expect(shape(calls)).toEqual(LIFE)
    const [bridge, ipam, portmap] = [...calls.values()]
    expect(bridge).toMatchObject({ plugin: "bridge", command: "ADD", answer: { exitCode: 0, stderr: "" } })
    expect(bridge?.env).toMatchObject({ CNI_COMMAND: "ADD", CNI_IFNAME: "eth0", CNI_PATH: plugins })
    expect(JSON.parse(bridge?.stdin ?? "")).toMatchObject({ type: "bridge", name: PODNET.name })
    expect(ipam?.stdin).toBe(bridge?.stdin)
    const given = JSON.parse(ipam?.answer?.stdout ?? "").ips.map(({ address }: { address: string }) => address)
    const result = JSON.parse(bridge?.answer?.stdout ?? "")
    expect(result.ips.map(({ address }: { address: string }) => address)).toEqual(given)
    expect(JSON.parse(portmap?.stdin ?? "").prevResult.interfaces).toHaveLength(result.interfaces.length)
    expect(bridge?.milliseconds).toBeGreaterThan(ipam?.milliseconds ?? Number.POSITIVE_INFINITY)
  })

  test("says which plugins answered, on which kernel", () => {
    const about = JSON.parse(readFileSync(join(recording, "node.json"), "utf8"))
    expect(about.kernel).toContain("Linux version")
    expect(Object.keys(about.plugins)).toEqual([...CHAIN].sort())
    expect(about.plugins.bridge).toContain("CNI bridge plugin v")
  })

  test("leaves the directory as it was", () => {
    expect(tracesIn(plugins)).toEqual([])
    for (const plugin of CHAIN)
      expect(readFileSync(join(plugins, plugin)).equals(readFileSync(join(binDirectory(implementation), plugin)))).toBe(
        true,
      )
  })

  test.each<Implementation>(["ours", "reference"])(
    "is answered the same by the plugins of %s when it is replayed",
    (by) => {
      const { exitCode, stdout, stderr } = replay(recording, "--plugins", binDirectory(by))
      expect([exitCode, stderr], stdout).toEqual([0, ""])
      expect(stdout).toMatch(/^✓ 0001-bridge-ADD {8}took \d+\.\d ms, now \d+\.\d ms$/m)
      expect(stdout).toMatch(/^- 0002-host-local-ADD {4}not replayed: bridge calls it$/m)
      expect(stdout).toMatch(/\n9 answered as recorded; 3 not replayed\n$/)
    },
  )
})

test("a pod on an uplink is replayed on a wire of that name", async () => {
  const plugins = pluginDirectory("bin-uplink", "ours", ["macvlan", "static"])
  const recording = join(node.dir, "uplink")
  node.ip("link", "add", "uplink0", "type", "veth", "peer", "uplink1")
  const ipam = { type: "static", addresses: [{ address: "198.18.0.7/24" }] }
  const network = { cniVersion: "1.0.0", name: "storage", plugins: [{ type: "macvlan", master: "uplink0", ipam }] }
  const recorder = await Recorder.start(recording, plugins)
  const pod = node.pod()
  for (const command of ["add", "check", "del"] as const)
    expect(node.cnitool({ command, network, netns: pod, path: plugins }).exitCode).toBe(0)
  await recorder.end()
  expect(replay(recording).stdout).toMatch(/\n3 answered as recorded; 3 not replayed\n$/)
})

describe("an anonymous recording", () => {
  const SECRET = "hunter2-of-acme"
  const network = {
    ...PODNET,
    name: "acme-network",
    plugins: PODNET.plugins.map((plugin) => ({ ...plugin, apiToken: SECRET })),
  }
  let plugins: string
  let recording: string
  let said: string
  const originals = [SECRET, "acme", "checkout", "payments", "10.244.1", "fd00:10:244", "cluster.local", "10.96.0.10"]
  beforeAll(async () => {
    plugins = pluginDirectory("bin-anonymous", "ours")
    recording = join(node.dir, "anonymous")
    const recorder = await Recorder.start(recording, plugins, "--anonymous")
    const pods = [node.pod(), node.pod()]
    const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=payments;K8S_POD_NAME=checkout"
    for (const command of ["add", "check", "del"] as const) {
      for (const pod of pods) {
        originals.push(pod.path, pod.name, pod.containerId)
        originals.push(
          ...pod.ip("link", "show").flatMap(({ address = "" }) => (/^00(:00)+$/.test(address) ? [] : address)),
        )
        const mappings = command === "add" && pod === pods[0] ? capabilityArgs : {}
        node.cnitool({ command, network, netns: pod, path: plugins, args, capabilityArgs: mappings })
      }
    }
    said = await recorder.end()
  })

  const texts = () => readdirSync(recording).map((name) => readFileSync(join(recording, name), "utf8"))

  test("holds nothing of names, addresses, secrets and the rest of the environment", () => {
    expect(said).toMatch(/: 24 calls are recorded/)
    expect(readdirSync(recording).filter((name) => !/^\d{4}-.*\.json$/.test(name))).toEqual(["node.json"])
    const all = texts().join("\n")
    const containers = new Set([...recordingIn(recording).values()].map(({ env }) => env["CNI_CONTAINERID"]))
    expect(originals.filter((word) => all.includes(word))).toEqual([])
    expect(containers).toEqual(new Set(["container-1", "container-2"]))
  })

  test("is still a story: it is replayed with the same answers", () => {
    const { exitCode, stdout } = replay(recording)
    expect(exitCode, stdout).toBe(0)
    expect(stdout).toMatch(/\n18 answered as recorded; 6 not replayed\n$/)
  })
})

describe("replay", () => {
  /** What the node has: rules, links, leases. */
  const state = () =>
    [
      ["nft", "list", "ruleset"],
      ...["link", "address", "route", "rule"].map((what) => ["ip", what, "show"]),
      ["find", join(node.dir, "var-lib"), "-printf", "%p %T@ %s\\n"],
    ].map((words) => node.run(...words).stdout)

  test("neither sees nor changes what the node has", () => {
    const plugins = join(node.dir, "bin-ours")
    const call = { command: "add", network: PODNET, netns: node.pod(), path: plugins, capabilityArgs } as const
    expect(node.cnitool(call).exitCode).toBe(0)
    const before = state()
    expect(before.join()).toMatch(/dport 8080[\s\S]*networks\/podnet\/10\.244\.1\./)
    const withItsLeases = [...BASH, 'mount --bind "$0" /var/lib && exec "$@"', join(node.dir, "var-lib")]
    const program = [join(binDirectory(), "cni-ts"), "replay", join(node.dir, "recording-ours")]
    expect(run(node.inside(["unshare", "--mount", ...withItsLeases, ...program]))).toMatchObject({
      exitCode: 0,
      stderr: "",
    })
    expect(state()).toEqual(before)
  })

  test("a plugin can write what it finds again, but changes neither files nor settings, and reaches nobody", () => {
    const [plugins, recording, outside] = ["bin-writer", "writer", "outside"].map((name) => join(node.dir, name))
    for (const directory of [plugins, recording, outside]) mkdirSync(directory ?? "")
    const tried = [`${outside}/x`, "/etc/cnits-x", "/root/cnits-x", "$(dirname $0)/x", "/proc/sys/kernel/domainname"]
    const script = `#!/bin/bash
      for path in ${tried.join(" ")} /var/lib/x /run/x /tmp/x /proc/sys/net/ipv4/ip_forward; do
        echo 1 2>/dev/null >"$path" && cat "$path" >/dev/null && echo "$path"
      done 2>/dev/null
      ip -o link | wc -l
    `
    writeFileSync(join(plugins ?? "", "writer"), script, { mode: 0o755 })
    const stdout = "/var/lib/x\n/run/x\n/tmp/x\n/proc/sys/net/ipv4/ip_forward\n1\n"
    const env = { CNI_COMMAND: "ADD", CNI_PATH: "/opt/cni/bin", PATH: process.env["PATH"] }
    const call = { plugin: "writer", command: "ADD", env, stdin: "{}", answer: { exitCode: 0, stdout, stderr: "" } }
    writeFileSync(join(recording ?? "", "0001-writer-ADD.json"), JSON.stringify(call))
    const domain = readFileSync("/proc/sys/kernel/domainname", "utf8")
    expect(replay(recording ?? "", "--plugins", plugins ?? "").stdout).toMatch(/\n1 answered as recorded\n$/)
    expect([readdirSync(outside ?? ""), readdirSync(plugins ?? "")]).toEqual([[], ["writer"]])
    expect(readFileSync("/proc/sys/kernel/domainname", "utf8")).toBe(domain)
  })

  test("shows what is answered otherwise, in words and for programs", () => {
    const changed = join(node.dir, "changed")
    mkdirSync(changed)
    for (const [name, call] of recordingIn(join(node.dir, "recording-ours"))) {
      const stdout = call.answer?.stdout.replace("10.244.1.", "10.99.1.").replace('"mtu": 1500', '"mtu": 9000')
      writeFileSync(join(changed, name), JSON.stringify({ ...call, answer: { ...call.answer, stdout } }))
    }
    const { exitCode, stdout } = replay(changed)
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(
      /^✗ 0001-bridge-ADD .*\n {4}ips\[0\]\.address was "?10\.99\.1\.\d+\/24"?\n +is "?10\.244\.1\.2\/24"?$/m,
    )
    expect(stdout).toMatch(/answered otherwise than recorded; 3 not replayed\n$/)
    const told = JSON.parse(replay(changed, "-o", "json").stdout)
    expect(told.calls).toHaveLength(12)
    expect(told.calls[0]).toMatchObject({
      verdict: "different",
      differences: expect.arrayContaining([
        expect.objectContaining({ what: "ips[0].address", replayed: '"10.244.1.2/24"' }),
      ]),
    })
  })

  test("what cannot be replayed is status 2", () => {
    mkdirSync(join(node.dir, "empty"))
    expect(replay(join(node.dir, "empty"))).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("no recorded calls"),
    })
    expect(replay(join(node.dir, "nowhere"))).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("ENOENT") })
    const file = join(node.dir, "empty/0001-bridge-ADD.json")
    const strange = { plugin: "../../bin/sh", command: "ADD", env: {}, stdin: "touch /tmp/x" }
    for (const document of [strange, { ...strange, plugin: ".." }, { ...strange, plugin: "sh", env: [] }]) {
      writeFileSync(file, JSON.stringify(document))
      expect(replay(join(node.dir, "empty"))).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining("no recorded call"),
      })
    }
    writeFileSync(file, "{}")
    expect(replay(join(node.dir, "empty"))).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("no recorded call"),
    })
  })
})
