import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import type { Result } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"

/** Folders that tell one story together are replayed on one node, one after the other. */
const STORIES: Readonly<Record<string, readonly string[]>> = {
  "containerd runs, stops and removes a pod": ["containerd-add", "containerd-stop-remove"],
  "containerd runs a pod with every capability": ["containerd-all-capabilities"],
  "containerd takes back a pod whose last plugin failed": ["containerd-add-fails"],
  "containerd limits one direction only": ["containerd-ingress-only"],
  "containerd uses a list at 0.3.1": ["containerd-0.3.1"],
  "cnitool adds, checks and removes twice": ["cnitool"],
  "cnitool adds, checks and removes, single and dual-stack": ["cnitool-dual-stack"],
}

interface Recorded {
  readonly file: string
  readonly plugin: string
  readonly command: string
  readonly env: { readonly CNI_NETNS: string; readonly [name: string]: string }
  readonly config: Config
  readonly answer: Result | undefined
}

interface Config {
  readonly cniVersion: string
  readonly name: string
  readonly ipam?: object
  readonly prevResult?: Result
}

describe.each(Object.entries(STORIES))("%s", (_, folders) => {
  const calls = folders.flatMap(readFolder)
  const byRuntime = calls.filter((call) => call.plugin === "bridge" || call.plugin === "loopback")
  const byBridge = calls.filter((call) => call.plugin === "host-local")
  const portmaps = calls.filter((call) => call.plugin === "portmap")
  const bandwidths = calls.filter((call) => call.plugin === "bandwidth")

  test("is answered as recorded, and leaves nothing after the last DEL", () => {
    using node = new Node()
    continueLeases(node, byBridge)
    replay(node, byRuntime)
  })

  if (portmaps.length > 0) {
    test("is answered as recorded by portmap alone", () => {
      using node = new Node()
      replayPortmap(node, portmaps)
    })
  }

  if (bandwidths.length > 0) {
    test("is answered as recorded by bandwidth alone", () => {
      using node = new Node()
      replayBandwidth(node, bandwidths)
    })
  }

  if (byBridge.length > 0) {
    test("is answered as recorded by host-local alone", () => {
      using node = new Node()
      continueLeases(node, byBridge)
      replay(node, byBridge)
    })
  }
})

/** It takes the plugins before it at their word, so no pod has to be connected. */
function replayPortmap(node: Node, calls: readonly Recorded[]): void {
  const pod = node.pod()
  for (const { command, config, env, ...call } of calls) {
    const outcome = node.call("portmap", { command, config, env: { ...env, CNI_PATH: binDirectory() } })
    expect([outcome.exitCode, outcome.stderr, outcome.error], call.file).toEqual([0, "", undefined])
    // The recorded CHECKs failed: that plugin looked for rules of IPv6 that a pod without IPv6 has not.
    const wanted = command === "CHECK" ? "" : expected({ command, config, env, ...call })
    expect(mask(outcome.stdout, pod.path), call.file).toBe(mask(wanted, pod.path))
    const { stdout } = node.run("nft", "list", "ruleset")
    expect(stdout.includes("dnat to"), call.file).toBe(command !== "DEL")
  }
}

/** It limits a veth pair that is named as the recorded one. */
function replayBandwidth(node: Node, calls: readonly Recorded[]): void {
  const pod = node.pod()
  for (const call of calls) {
    if (call.command === "ADD") {
      for (const { ifname = "" } of node.ip("link", "show", "type", "veth")) node.ip("link", "del", ifname)
      const veth = call.config.prevResult?.interfaces?.find(({ name }) => name.startsWith("veth"))?.name ?? ""
      node.ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", pod.name)
    }
    const env = { ...call.env, CNI_PATH: binDirectory(), CNI_NETNS: call.env.CNI_NETNS && pod.path }
    const config = { ...call.config, egressMode: "ifb" } // as the recorded plugin did it, whatever this kernel has
    const outcome = node.call("bandwidth", { command: call.command, config, env })
    expect([outcome.exitCode, outcome.stderr, outcome.error], call.file).toEqual([0, "", undefined])
    expect(mask(outcome.stdout, call.env.CNI_NETNS), call.file).toBe(mask(expected(call), call.env.CNI_NETNS))
    const ifbs = node.ip("link", "show", "type", "ifb").map(({ ifname }) => ifname)
    const recorded = call.answer?.interfaces?.map(({ name }) => name).filter((name) => name.startsWith("bwp")) ?? []
    if (call.command !== "CHECK") expect(ifbs, call.file).toEqual(recorded)
  }
}

function readFolder(folder: string): Recorded[] {
  const root = join(fileURLToPath(import.meta.url), "../../fixtures", folder)
  return readdirSync(root)
    .sort()
    .map((name) => {
      const { plugin, command, env, stdin, answer: recorded } = JSON.parse(readFileSync(join(root, name), "utf8"))
      const answer = recorded.stdout === "" ? undefined : JSON.parse(recorded.stdout)
      return { file: `${folder}/${name}`, plugin, command, env, config: JSON.parse(stdin), answer }
    })
}

/** Lets host-local go on after the address before the recorded one, so that the recorded one is next. */
function continueLeases(node: Node, calls: readonly Recorded[]): void {
  for (const { config, answer } of calls) {
    answer?.ips?.forEach(({ address }, set) => {
      const previous = address.replace(/\/.*/, "").replace(/[0-9]+$/, (last) => String(Number(last) - 1))
      mkdirSync(leases(node, config.name), { recursive: true })
      writeFileSync(join(leases(node, config.name), `last_reserved_ip.${set}`), previous)
    })
  }
}

function leases(node: Node, network: string): string {
  return join(node.dir, "ipam", network)
}

function replay(node: Node, calls: readonly Recorded[]): void {
  const pod = node.pod()
  const answers = new Map<string, Result>()
  for (const call of calls) {
    const attachment = `${call.plugin} ${call.config.name}`
    const env = { ...call.env, CNI_PATH: binDirectory(), CNI_NETNS: call.env.CNI_NETNS && pod.path }
    const config = rewrite(call.config, node, answers.get(attachment))
    const outcome = node.call(call.plugin, { command: call.command, config, env })
    expect([outcome.exitCode, outcome.stderr, outcome.error], call.file).toEqual([0, "", undefined])
    expect(mask(outcome.stdout, pod.path), call.file).toBe(mask(expected(call), call.env.CNI_NETNS))
    if (outcome.result) answers.set(attachment, outcome.result)
    if (call.plugin === "bridge" && call.command === "ADD") expectConnected(pod, outcome.result)
    if (call.command === "DEL") expectNothingLeft(node, pod, call)
  }
}

/** The recorded config on this node. What later plugins of the chain added to prevResult stays in it. */
function rewrite(config: Config, node: Node, own: Result | undefined): Config {
  const { ipam, prevResult, ...rest } = config
  const interfaces = own?.interfaces ?? []
  return {
    ...rest,
    ...(ipam && { ipam: { ...ipam, dataDir: join(node.dir, "ipam") } }),
    ...(prevResult && {
      prevResult: {
        ...prevResult,
        interfaces: [...interfaces, ...(prevResult.interfaces ?? []).slice(interfaces.length)],
      },
    }),
  }
}

/**
 * The recorded answer, as the reference prints it since 1.9: at 1.x keys are sorted and an empty dns is left
 * out. Its loopback prints that shape under older versions too, which is corrected here: at 0.3.x an address
 * says its IP version.
 */
function expected({ plugin, answer, config }: Recorded): string {
  if (!answer) return ""
  if (config.cniVersion.startsWith("1.")) {
    const { dns, ...rest } = answer
    return JSON.stringify(sorted(Object.keys(dns ?? {}).length > 0 ? answer : rest), null, 4)
  }
  const versioned = answer.ips?.map((ip) => ({ version: ip.address.includes(":") ? "6" : "4", ...ip }))
  return JSON.stringify(plugin === "loopback" ? { ...answer, ips: versioned } : answer, null, 4)
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}

/** Makes one run's names comparable with another's. */
function mask(text: string, netns: string): string {
  return text
    .replaceAll(`"${netns}"`, '"NETNS"')
    .replaceAll(/"veth[0-9a-z]+"/g, '"VETH"')
    .replaceAll(/"(?!00:00:00:00:00:00)([0-9a-f]{2}:){5}[0-9a-f]{2}"/g, '"MAC"')
}

function expectConnected(pod: Pod, result: Result | undefined): void {
  expect(pod.addresses("eth0")).toEqual(result?.ips?.map((ip) => ip.address))
  for (const { gateway = "" } of result?.ips ?? []) expect(pod.pings(gateway), `ping ${gateway}`).toBe(true)
}

function expectNothingLeft(node: Node, pod: Pod, { file, plugin, config }: Recorded): void {
  if (plugin === "loopback") {
    expect(pod.link("lo")?.flags, file).not.toContain("UP")
    return
  }
  expect(
    pod.ip("link", "show").map((link) => link.ifname),
    file,
  ).toEqual(["lo"])
  expect(node.ip("link", "show", "type", "veth"), file).toEqual([])
  expect(output(node.inside(["nft", "list", "ruleset"])), file).not.toContain(" comment ")
  expect(
    readdirSync(leases(node, config.name)).filter((name) => /^[0-9a-f.:]+$/.test(name)),
    file,
  ).toEqual([])
}
