import { createHash } from "node:crypto"
import { expect } from "vitest"
import type { NetworkList } from "../lab/cnitool.ts"
import type { Pod } from "../lab/node.ts"
import { type NodeSnapshot, snapshot } from "../lab/snapshot.ts"
import { OperatedNode } from "./operated-node.ts"

/** A node with an uplink, whose wire ends on the node as well. */
export function newNode(): OperatedNode {
  const node = new OperatedNode()
  const commands = [
    ["link", "add", "up0", "type", "veth", "peer", "name", "up1"],
    ["link", "set", "up0", "addrgenmode", "none", "up"],
    ["link", "set", "up1", "addrgenmode", "none", "up"],
    ["addr", "add", "192.0.2.2/24", "dev", "up0"],
    ["route", "add", "default", "via", "192.0.2.1"],
  ]
  for (const words of commands) expect(node.run("ip", ...words)).toMatchObject({ exitCode: 0, stderr: "" })
  return node
}

export interface Wish {
  readonly network: NetworkList
  readonly capabilityArgs?: Readonly<Record<string, unknown>>
  readonly ifname?: string
  /** Set if it is of the pod of the wish before. */
  readonly again?: boolean
}

/** Explains an ADD of the pod, as cnitool does it. */
export function explain(
  node: OperatedNode,
  pod: Pod,
  { network, capabilityArgs = {}, ifname = "eth0" }: Wish,
  ...more: string[]
) {
  node.configure(network)
  const digest = createHash("sha512").update(pod.path).digest("hex")
  const options = ["--container", `cnitool-${digest.slice(0, 20)}`, "--ifname", ifname, "--pod-netns", pod.path]
  const capabilities = ["--capability-args", JSON.stringify(capabilityArgs)]
  return node.cniTs("explain", `/etc/cni/net.d/${network.name}.conflist`, ...options, ...capabilities, ...more)
}

/** Returns the snapshot without what is drawn at random, belongs to the runtime, or says which node it is; elements of sets in order. */
function comparable(node: OperatedNode): unknown {
  const { files, pods, ...rest }: NodeSnapshot = snapshot(node)
  const own = Object.entries(files).filter(
    ([path, text]) => /^var-lib\/cni\/(?!results)/.test(path) && text.includes(" "),
  )
  const kept = own
    .filter(([path]) => !/\.cni-ts|\/lock$/.test(path))
    .map(([path, text]) => [path, text.replace(/^\d+ /, "")])
  const iptables = ["iptables-nft-save", "ip6tables-nft-save"].map((program) => rulesOf(node, program))
  const text = JSON.stringify({ ...rest, iptables, files: Object.fromEntries(kept), pods: Object.values(pods) })
  const known = text
    .replaceAll(/(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}(?=")/g, "MAC")
    .replaceAll(/cnits-\d+-\d+-\d+/g, "NODE")
  return JSON.parse(known, (_, value) => {
    if (value?.rule?.family?.startsWith("ip") && ["filter", "nat"].includes(value.rule.table)) return {} // iptables says it in more ways
    if (value?.set?.elem) value.set.elem = value.set.elem.map((each: unknown) => JSON.stringify(each)).sort()
    return value
  })
}

/** Returns the rules as iptables has them, without counters and comments on the time. */
function rulesOf(node: OperatedNode, program: string): string[] {
  const lines = node.run(program).stdout.split("\n")
  return lines.filter((line) => !line.startsWith("#")).map((line) => line.replace(/ \[\d+:\d+\]$/, ""))
}

/** Returns what takes less time to see than all of a snapshot, without link-local addresses: links that are new get theirs later. */
function glance(node: OperatedNode, pod: Pod): string[] {
  const addresses = [node, pod].map((view) =>
    view.run("ip", "-o", "addr", "show").stdout.replaceAll(/.* inet6 fe80:.*\n| tentative/g, ""),
  )
  return [...addresses, node.run("nft", "-s", "list", "ruleset").stdout]
}

/** Attaches pods here, and runs what explain printed as a shell script on another node like this one; then both are the same. */
export function hold(wishes: readonly Wish[]): void {
  using node = newNode()
  using twin = newNode()
  for (const [index, wish] of wishes.entries()) {
    const [pod, other] = [node, twin].map((each) => (wish.again && each.pods.at(-1)) || each.pod()) as [Pod, Pod]
    node.configure(wish.network)
    const look = () => (index === 0 ? snapshot(node) : glance(node, pod))
    const before = look()
    const { exitCode, stdout, stderr } = explain(node, pod, wish)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" })
    expect(look()).toEqual(before)
    expect(stdout).toMatch(/\n# it would work: .*\n$/)
    expect(stdout.split("\n").filter((line) => line.length > 100)).toEqual([])
    expect(stdout).not.toContain("# not ")
    node.attachTo(pod, wish.network, wish)
    expect(twin.shell(stdout.replaceAll(pod.name, other.name))).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
  }
  expect(comparable(twin)).toEqual(comparable(node))
}
