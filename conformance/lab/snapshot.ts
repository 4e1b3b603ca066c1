import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import type { View } from "./namespace.ts"
import type { Node } from "./node.ts"
import { output } from "./run.ts"

export interface NamespaceSnapshot {
  readonly links: unknown
  readonly addresses: unknown
  readonly routes: unknown
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
 * changes by itself or later: counters, timers, lifetimes, carrier and its consequences (operational state,
 * IPv6 link-local addresses and routes) and what a bridge can offload, which follows its ports.
 */
export function snapshot(node: Node): NodeSnapshot {
  return {
    ...snapshotNamespace(node),
    pods: Object.fromEntries(node.pods.map((pod) => [pod.name, snapshotNamespace(pod)])),
    files: Object.fromEntries(files(node.dir, "")),
  }
}

export function snapshotNamespace(namespace: View): NamespaceSnapshot {
  return {
    links: steady(namespace.ip("-d", "link", "show")),
    addresses: steady(namespace.ip("addr", "show")),
    routes: steady([
      ...namespace.ip("-4", "route", "show", "table", "all"),
      ...namespace.ip("-6", "route", "show", "table", "all"),
    ]),
    sysctls: sysctls(namespace),
    rules: steady(JSON.parse(output(namespace.inside(["nft", "-j", "list", "ruleset"])))),
  }
}

const VOLATILE_KEY =
  /_timer$|_life_time$|^(operstate|tentative|expires|handle|packets|bytes|metainfo|cache|tso_max_size)$/
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

function sysctls(namespace: View): string[] {
  const roots = ["ipv4/ip_forward", "ipv4/conf", "ipv6/conf"].map((name) => `/proc/sys/net/${name}`)
  // Some files, such as stable_secret, cannot be read until they are set: grep then exits with 2.
  return namespace
    .run("grep", "-rs", "", ...roots)
    .stdout.split("\n")
    .sort()
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
