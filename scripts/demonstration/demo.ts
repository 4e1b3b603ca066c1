import { readdirSync, readlinkSync } from "node:fs"
import { output } from "../../conformance/lab/run.ts"
import { type Execution, execute, Pod, type Wish } from "./containerd.ts"
import { cniTs, remember } from "./operator.ts"
import { receive } from "./stream.ts"
import { bold, columns, compactJson, cyan, dim, fold, green, indent, milliseconds, red, say } from "./terminal.ts"

const LEASES = "/run/cni-ipam-state/k8s-pod-network"
const WIDTH = 100
const GATEWAYS = ["10.244.1.1", "fd00:10:244:1::1"]

/** As libcni hands it to the plugin: one plugin's part of the list, with the list's name and version, keys sorted. */
const network = {
  bridge: "cni0",
  cniVersion: "1.0.0",
  hairpinMode: true,
  ipam: {
    dataDir: "/run/cni-ipam-state",
    ranges: [[{ gateway: "10.244.1.1", subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]],
    routes: [{ dst: "10.244.0.0/16" }],
    type: "host-local",
  },
  isDefaultGateway: true,
  isGateway: true,
  mtu: 1450,
  name: "k8s-pod-network",
  type: "bridge",
}

/** containerd's own, built in. */
const loopback = { cniVersion: "0.3.1", name: "cni-loopback", type: "loopback" }

/** What the pod's annotations ask for, with the burst that containerd makes up, and what the network makes of that. */
const MEGABITS = 10
const [rate, burst] = [MEGABITS * 1e6, 2 ** 32 - 1]
const limits = {
  capabilities: { bandwidth: true },
  cniVersion: "1.0.0",
  maxBurst: rate / 5,
  name: network.name,
  runtimeConfig: { bandwidth: { IngressRate: rate, IngressBurst: burst, EgressRate: rate, EgressBurst: burst } },
  type: "bandwidth",
}

class Unexpected extends Error {}

function expect(fulfilled: boolean, otherwise: string): void {
  if (!fulfilled) throw new Unexpected(otherwise)
}

const times: number[] = []
let steps = 0

function step(title: string, ...lines: string[]): void {
  say("", bold(`${++steps}. ${title}`), ...lines.map((line) => indent(line)))
}

/** Calls a plugin, which has to succeed. */
function call(pod: Pod, wish: Wish): Execution {
  const done = execute(pod, wish)
  times.push(done.time)
  expect(
    done.exitCode === 0,
    `${wish.plugin} ${wish.command} for pod ${pod.name} failed: ${done.stdout || done.stderr}`,
  )
  return done
}

/** Everything about a call: what the plugin is told and what it answers. */
function tell({ plugin, env, stdin, stdout, time }: Execution): void {
  const told = Object.entries({ ...env, stdin }).flatMap(([name, value]) =>
    fold(value, WIDTH - 16).map((line, position) => [position === 0 ? name : "", line]),
  )
  say("", indent(`${bold(`dist/bin/${plugin}`)}  ${dim(milliseconds(time))}`))
  say(indent(columns(told).replace(/^\S+/gm, cyan), "     "))
  say(indent(compactJson(JSON.parse(stdout), WIDTH), "     "))
}

/** One line per call. */
function summarise(rows: readonly (readonly [Execution, Pod, string])[]): void {
  const cells = rows.map(([{ plugin, env, time }, pod, outcome]) => [
    `${plugin} ${env["CNI_COMMAND"]}`,
    `${pod.name} ${env["CNI_IFNAME"]}`,
    milliseconds(time).padStart(8),
    outcome,
  ])
  say(indent(columns(cells)))
}

function prepare(): [Pod, Pod] {
  // Whoever starts this file without scripts/demonstration/demo must not have the plugins work on the machine itself.
  const own = readlinkSync("/proc/self/ns/net")
  expect(own !== outerNamespace(), "start scripts/demonstration/demo, which makes a network namespace for this")
  output(["mount", "-t", "tmpfs", "cni-ts-demo", "/run"])
  output(["ip", "link", "set", "lo", "up"])
  const pods: [Pod, Pod] = [new Pod("web"), new Pod("client")]
  step(
    "A node and two empty pods",
    "The node is a network namespace of this run alone; the machine's own is not touched.",
    columns(pods.map((pod) => ["pod", pod.name, pod.netns])),
    "",
    "Its network: bridge cni0 with the node's part of the cluster's 10.244.0.0/16, IPv4 and IPv6",
    dim(compactJson(network, WIDTH)),
  )
  return pods
}

/** The namespace of the process that started this one; undefined to a user who may not look, and so is not root there. */
function outerNamespace(): string | undefined {
  try {
    return readlinkSync(`/proc/${process.ppid}/ns/net`)
  } catch {
    return undefined
  }
}

/** Connects the pod, and returns what bridge answered: the prevResult of every later call. */
function start(pod: Pod, show: (executions: Execution[]) => void): object {
  const lo = call(pod, { plugin: "loopback", command: "ADD", ifname: "lo", config: loopback })
  const eth0 = call(pod, { plugin: "bridge", command: "ADD", ifname: "eth0", config: network })
  show([lo, eth0])
  return JSON.parse(eth0.stdout)
}

function addressesOf(pod: Pod): [string, string] {
  const [link] = JSON.parse(pod.shell("ip -j addr show eth0"))
  const found = (family: string): string =>
    link.addr_info.find((info: { family: string; scope: string }) => info.family === family && info.scope === "global")
      ?.local ?? "none"
  return [found("inet"), found("inet6")]
}

/** Shows a command's output, where a line has to match each of the patterns. */
function look(pod: Pod, command: string, patterns: readonly RegExp[]): void {
  const text = pod.shell(command)
  say("", indent(`${cyan(`${pod.name} #`)} ${command}`), indent(text))
  for (const pattern of patterns) {
    expect(
      text.split("\n").some((line) => pattern.test(line)),
      `pod ${pod.name}: no line of "${command}" matches ${pattern}`,
    )
  }
}

function lookInside(pod: Pod): void {
  const [ipv4, ipv6] = addressesOf(pod)
  look(pod, "ip addr | grep -v valid_lft", [
    /^1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 /,
    /^ {4}inet 127\.0\.0\.1\/8 scope host lo/,
    /^\d+: eth0@if\d+: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 /,
    new RegExp(`^ {4}inet ${ipv4}/24 brd 10\\.244\\.1\\.255 scope global eth0`),
    new RegExp(`^ {4}inet6 ${ipv6}/64 scope global (nodad )?$`),
  ])
  look(pod, "ip route", [
    /^default via 10\.244\.1\.1 dev eth0 *$/,
    /^10\.244\.0\.0\/16 via 10\.244\.1\.1 dev eth0 *$/,
    new RegExp(`^10\\.244\\.1\\.0/24 dev eth0 proto kernel scope link src ${ipv4} *$`),
  ])
  look(pod, "ip -6 route | grep -v fe80", [
    /^fd00:10:244:1::\/64 dev eth0 proto kernel /,
    /^default via fd00:10:244:1::1 dev eth0 /,
  ])
}

/** Three echo requests, and how long the answers took on average. */
function ping(pod: Pod, target: string, address: string): string[] {
  const { stdout } = pod.namespace.run("ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "2", address)
  const received = /(\d+) received/.exec(stdout)?.[1] ?? "0"
  expect(received === "3", `pod ${pod.name} cannot reach ${target} at ${address}: ${received} of 3 answers`)
  const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1] ?? "?"
  return [pod.name, "→", target, address, "3 of 3 answered", `${average} ms`]
}

function pingAll(one: Pod, other: Pod): void {
  const rows = ([0, 1] as const).flatMap((family) => [
    ping(one, other.name, addressesOf(other)[family]),
    ping(other, one.name, addressesOf(one)[family]),
    ...[one, other].map((pod) => ping(pod, "gateway", GATEWAYS[family] ?? "")),
  ])
  say(indent(columns(rows)))
}

/** What the pod can send to its gateway by TCP, the burst not counted, in Mbit/s: less than the limit, if there is one. */
async function megabits(pod: Pod): Promise<number> {
  const burst = limits.maxBurst / 8
  const rest = 1_250_000
  return (rest * 8) / 1000 / (await receive(pod, GATEWAYS[0] ?? "", burst + rest))
}

/** Chains bandwidth behind bridge, and returns what it answered. */
async function limit(pod: Pod, prevResult: object): Promise<object> {
  const before = await megabits(pod)
  const done = call(pod, { plugin: "bandwidth", command: "ADD", ifname: "eth0", config: { ...limits, prevResult } })
  const { runtimeConfig, maxBurst } = limits
  say(indent(dim(compactJson({ runtimeConfig, maxBurst }, WIDTH))))
  summarise([[done, pod, `limited to ${MEGABITS} Mbit/s in each direction`]])
  const shown = output(["tc", "qdisc", "show"])
    .split("\n")
    .filter((line) => / (tbf|ingress) /.test(line))
  say("", indent(`${cyan("node #")} tc qdisc show`), indent(shown.join("\n")), "")
  const after = await megabits(pod)
  const mega = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} Mbit/s`
  say(indent(columns([[pod.name, "→", "gateway", "TCP", `${mega(before)} before, ${mega(after)} now`]])))
  expect(after < MEGABITS, `pod ${pod.name} sends ${mega(after)}, though its limit is ${mega(MEGABITS)}`)
  return JSON.parse(done.stdout)
}

/** Says what an operator sees of the node: first as it is, then with its bridge taken down, then put back. */
function operate(pods: readonly [Pod, object][]): void {
  for (const [pod, result] of pods) remember(pod, [network], network.name, result)
  const tell = (expected: number, ...args: string[]) => {
    const { exitCode, stdout } = cniTs(...args)
    say("", indent(`${cyan("node #")} cni-ts ${args.join(" ")}`), indent(stdout.trimEnd()))
    expect(exitCode === expected, `cni-ts ${args.join(" ")} ended with ${exitCode}, not ${expected}`)
  }
  tell(0, "show")
  tell(0, "doctor")
  say("", indent(`${cyan("node #")} ip address del 10.244.1.1/24 dev cni0`))
  output(["ip", "address", "del", "10.244.1.1/24", "dev", "cni0"])
  tell(1, "doctor")
  tell(0, "repair", "--yes")
}

/** StopPodSandbox while the namespace is there, then RemovePodSandbox when it is not. */
function stop(pod: Pod, prevResult: object, limited: boolean): void {
  const rows: [Execution, Pod, string][] = []
  for (const netns of [pod.netns, ""]) {
    const when = netns ? "the pod stops" : "it is removed, CNI_NETNS is empty"
    const config = netns ? { ...network, prevResult } : network
    rows.push([call(pod, { plugin: "loopback", command: "DEL", ifname: "lo", config: loopback, netns }), pod, when])
    if (limited) {
      const config = netns ? { ...limits, prevResult } : limits
      rows.push([call(pod, { plugin: "bandwidth", command: "DEL", ifname: "eth0", config, netns }), pod, when])
    }
    rows.push([call(pod, { plugin: "bridge", command: "DEL", ifname: "eth0", config, netns }), pod, when])
  }
  summarise(rows)
}

function links(text: string): string[] {
  return JSON.parse(text).map(({ ifname }: { ifname: string }) => ifname)
}

function showNothingLeft(pods: readonly Pod[]): void {
  const inPods = pods.map((pod): [string, string[]] => [`links of ${pod.name}`, links(pod.shell("ip -j link"))])
  const onNode = links(output(["ip", "-j", "link"]))
  const leases = readdirSync(LEASES).filter((name) => /^[0-9a-f]+[.:]/.test(name))
  const rows = [...inPods, ["links of the node", onNode], ["leases", leases]] as [string, string[]][]
  say(indent(columns(rows.map(([what, names]) => [what, names.join(", ") || "none"]))))
  for (const [where, names] of inPods) expect(names.join() === "lo", `${where}: expected lo alone, not ${names}`)
  expect(onNode.join() === "lo,cni0", `links of the node: expected lo and cni0, not ${onNode}`)
  expect(leases.length === 0, `leases left in ${LEASES}: ${leases}`)
  say(indent(dim("cni0 stays for the next pod; it and the namespaces go with this process.")))
}

async function tellTheStory(): Promise<void> {
  say(bold("cni-ts: two pods, one bridge, and the calls containerd makes to connect them"))
  const [web, client] = prepare()

  step("ADD: containerd starts pod web")
  const webResult = start(web, (executions) => executions.forEach(tell))
  step("ADD: and pod client, in the same way")
  const clientResult = start(client, ([lo, eth0]) => {
    const [ipv4, ipv6] = addressesOf(client)
    if (lo && eth0)
      summarise([
        [lo, client, "127.0.0.1, ::1"],
        [eth0, client, `${ipv4}, ${ipv6}`],
      ])
  })

  step("What the pods see")
  for (const pod of [web, client]) lookInside(pod)

  step("They reach each other and the gateway")
  pingAll(client, web)

  step("bandwidth: pod client may have so much of the network and no more")
  const limitedResult = await limit(client, clientResult)

  step("CHECK: all is as ADD left it")
  const check = (pod: Pod, config: { type: string }, prevResult: object): [Execution, Pod, string] => [
    call(pod, { plugin: config.type, command: "CHECK", ifname: "eth0", config: { ...config, prevResult } }),
    pod,
    "as it should be",
  ]
  summarise([
    check(web, network, webResult),
    check(client, network, clientResult),
    check(client, limits, limitedResult),
  ])

  step("cni-ts: what an operator sees, and does")
  operate([
    [web, webResult],
    [client, clientResult],
  ])

  step("DEL: containerd stops and removes both pods")
  stop(web, webResult, false)
  stop(client, limitedResult, true)

  step("Nothing is left")
  showNothingLeft([web, client])

  const sum = times.reduce((total, time) => total + time, 0)
  say("", green(`Everything as expected: ${times.length} calls, ${milliseconds(sum)} in all.`))
}

try {
  await tellTheStory()
} catch (error) {
  if (!(error instanceof Error)) throw error
  console.error(`\n${red(`demo: ${error.message}`)}`)
  process.exit(1)
}
