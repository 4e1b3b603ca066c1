import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import type { View } from "./namespace.ts"
import type { Node } from "./node.ts"
import { output } from "./run.ts"

export interface NamespaceSnapshot {
  readonly links: unknown
  readonly addresses: unknown
  /** Rules of routing policy, then routes; of IPv4, then of IPv6. */
  readonly routes: unknown
  readonly qdiscs: unknown
  readonly sysctls: readonly string[]
  readonly rules: unknown
}

export interface NodeSnapshot extends NamespaceSnapshot {
  readonly pods: Readonly<Record<string, NamespaceSnapshot>>
  /** By path below the node's directory: mode, then content or link target. */
  readonly files: Readonly<Record<string, string>>
}

/**
 * Everything that "the node exactly as it was" means, to be compared with toEqual. Left out is what the kernel
 * changes by itself or later: counters, timers, lifetimes, what a bridge has learned, carrier and its consequences (operational state,
 * IPv6 link-local addresses and routes) and what a bridge can offload, which follows its ports. All pods unless said.
 */
export function snapshot(node: Node, pods = node.pods): NodeSnapshot {
  return {
    ...snapshotNamespace(node),
    pods: Object.fromEntries(pods.map((pod) => [pod.name, snapshotNamespace(pod)])),
    files: Object.fromEntries(files(node.dir, "")),
  }
}

/** Few processes: a test that takes hundreds of snapshots would mostly wait for them to start. */
const OBSERVE = `
set -e
next() { echo; echo ===; }
ip -j -d -batch - <<end; next
link show
addr show
rule show
route show table all
end
ip -j -6 -batch - <<end; next
rule show
route show table all
end
tc -j qdisc show; next
nft -j list ruleset; next
# Some files, such as stable_secret, cannot be read until they are set: grep then exits with 2.
grep -rs "" /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf || [ $? = 2 ]`

export function snapshotNamespace(namespace: View): NamespaceSnapshot {
  const parts = output(namespace.inside(["sh", "-c", OBSERVE])).split("\n===\n")
  const lists = (part = "") => part.split("\n").filter(Boolean).map(parsed)
  const [links, addresses, ...routes4] = lists(parts[0])
  const [qdiscs, rules] = parts.slice(2, -1).map(parsed)
  return {
    links,
    addresses,
    routes: [routes4, lists(parts[1])],
    qdiscs: (qdiscs as { kind: string }[]).filter(({ kind }) => !OF_EVERY_LINK.has(kind)),
    rules,
    sysctls: parts.at(-1)?.split("\n").sort() ?? [],
  }
}

/** The queues of a link that nobody shapes. */
const OF_EVERY_LINK = new Set(["noqueue", "noop"])

/** Some versions of `ip` print nothing for an empty list, and `{}` for an entry that was filtered out. */
function parsed(text: string): unknown {
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text)
  return steady(Array.isArray(value) ? value.filter((entry) => Object.keys(entry).length > 0) : value)
}

const VOLATILE_KEY =
  /_timer$|_life_time$|^(operstate|tentative|expires|handle|packets|bytes|metainfo|cache|tso_max_size|fdb_n_learned)$/
const VOLATILE_FLAG = new Set(["NO-CARRIER", "LOWER_UP", "linkdown"])

function steady(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.filter((entry) => !VOLATILE_FLAG.has(entry) && !isLinkLocal(entry)).map(steady)
  }
  if (typeof value !== "object" || value === null) return value
  const kept = Object.entries(value).filter(([key]) => !VOLATILE_KEY.test(key))
  return Object.fromEntries(kept.map(([key, inner]) => [key, steady(inner)]))
}

/** An address or route that the kernel makes by itself, once a link has a carrier and detection has ended. */
export function isLinkLocal(entry: unknown): boolean {
  if (typeof entry !== "object" || entry === null) return false
  const { local, dst } = entry as { local?: unknown; dst?: unknown }
  return [local, dst].some((text) => typeof text === "string" && /^(fe80:|ff00::\/8)/.test(text))
}

function* files(root: string, below: string): Generator<[string, string]> {
  for (const name of readdirSync(join(root, below)).sort()) {
    const path = join(below, name)
    const status = lstatSync(join(root, path))
    const mode = (status.mode & 0o7777).toString(8)
    if (status.isSymbolicLink()) yield [path, `${mode} -> ${readlinkSync(join(root, path))}`]
    else if (status.isFile()) yield [path, `${mode} ${readFileSync(join(root, path), "utf8")}`]
    else yield [path, mode]
    if (status.isDirectory()) yield* files(root, path)
  }
}
