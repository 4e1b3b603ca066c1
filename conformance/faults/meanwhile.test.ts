import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { expect, test } from "vitest"
import { Node, type Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { Network } from "../plugins/bridge/network.ts"
import { observe, type Point } from "./injection.ts"
import { readLeases } from "./leases.ts"
import { interrupted } from "./stopped.ts"
import { bridged } from "./subjects.ts"

/** The harm that others may do to a node while ADD is at work, at whatever point. */
const HARM: Readonly<Record<string, (node: Node, pod: Pod) => void>> = {
  "the pod's namespace is deleted": (_, pod) => output(["ip", "netns", "del", pod.name]),
  "the pod's interface is deleted": (_, pod) => void pod.run("ip", "link", "del", "eth0"),
  "the pod's interface is renamed": (_, pod) => void pod.run("ip", "link", "set", "eth0", "name", "other"),
  "the host's veth is renamed": (node) => void shell(node, "ip link set $(veth) name other"),
  "the host's veth is taken off the bridge": (node) => void shell(node, "ip link set $(veth) nomaster"),
  "the bridge is deleted": (node) => void node.run("ip", "link", "del", "cni0"),
  "the data directory is removed": (node) => removeBusy(join(node.dir, "ipam")),
  "all leases are removed": (node) => void shell(node, `rm -f ${node.dir}/ipam/net/*`),
  "all firewall rules are flushed": (node) => void node.run("nft", "flush", "ruleset"),
}

/** The youngest veth is the one that ADD has made, if it has: the other pod's came before. */
const VETH = `veth() { ip -o link show type veth | tail -n +2 | tail -1 | cut -d: -f2 | cut -d@ -f1 | tr -d ' '; }`

function shell(node: Node, script: string): void {
  node.run("sh", "-c", `${VETH}; ${script}`)
}

/** Removes a directory, if it is there, in which host-local, which is not stopped, may just make a file. */
function removeBusy(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 10 })
}

const cases = Object.keys(HARM).flatMap((harm) => [[harm, "ADD"] as const, [harm, "DEL"] as const])

test.each(cases)("whenever %s while %s is at work, it answers once, and DEL removes all", async (harm, verb) => {
  using node = new Node()
  const network = new Network(node, { ...bridged(node), ipMasq: true })
  network.connect(node.pod())
  const pod = node.pod()
  const points = pointsOf(verb, network, pod)
  const step = { plugin: "bridge", call: { command: verb, netns: pod, config: network.config } }
  let [reached, failed] = [0, 0]
  for (const point of points) {
    if (verb === "DEL") network.connect(pod)
    const outcome = await interrupted(node, step, point, () => HARM[harm]?.(node, pod))
    expect(network.del(pod)).toMatchObject({ exitCode: 0, stdout: "" })
    if (!existsSync(pod.path)) output(["ip", "netns", "add", pod.name])
    if (!outcome) continue // what others did before makes this call take other steps
    reached++
    if (outcome.exitCode !== 0) failed++
    const where = `${point.name} ${point.nth}: ${outcome.stdout}`
    if (outcome.exitCode !== 0) expect(outcome.error?.code, where).toBeGreaterThan(0)
    else expect(outcome.result !== undefined, where).toBe(verb === "ADD")
    const veths = node.ip("link", "show", "type", "veth").length
    const leases = readLeases(node).filter((lease) => lease.includes(pod.containerId))
    expect({ veths, leases }, where).toEqual({ veths: 1, leases: [] })
    expect(node.run("nft", "list", "ruleset").stdout, where).not.toContain(pod.containerId)
    await setImmediate() // lets the test runner hear from us
  }
  console.log(`${harm} during ${verb}: at ${reached} points, ${failed} calls failed`)
  expect(reached).toBeGreaterThan(verb === "ADD" ? 20 : 4)
})

/** Those that may change something, but for the answer itself. */
function pointsOf(verb: "ADD" | "DEL", network: Network, netns: Pod): Point[] {
  if (verb === "DEL") network.connect(netns)
  const { points } = observe(network.node, "bridge", { command: verb, netns, config: network.config })
  expect(network.del(netns).exitCode).toBe(0)
  return points.filter(({ changes, name }) => changes && name !== "exit_group")
}
