import { differences } from "../faults/differences.ts"
import { ruleset } from "../lab/ruleset.ts"
import { type NamespaceSnapshot, type NodeSnapshot, snapshot, snapshotNamespace } from "../lab/snapshot.ts"
import { PREFIX } from "./frames.ts"
import type { World } from "./world.ts"

/** The node with its witnesses and nobody else. */
export interface Baseline {
  readonly whole: NodeSnapshot
  readonly links: ReadonlySet<string>
  /** By witness: its MAC address, and the host end of its veth. */
  readonly ports: readonly { readonly mac: string; readonly host: string }[]
  /** `chain: rule`, of all tables. */
  readonly rules: readonly string[]
}

interface Named {
  readonly ifname?: string
  readonly dev?: string
}

export function baselineOf(world: World): Baseline {
  const whole = settled(world)
  const links = new Set((whole.links as Named[]).map(({ ifname = "" }) => ifname))
  const ports = world.witnesses.map(({ links: { host, mac } }) => ({ mac, host: `${host?.ifname}` }))
  return { whole, links, ports, rules: rulesOf(world) }
}

/** Returns what has changed of that which was there before: others may have come, but on links of their own. */
export function harm(world: World, { whole, links, ports, rules }: Baseline): string[] {
  const expected = ofLinks(whole, links)
  const snapshotted = snapshotNamespace(world.node)
  const now = ofLinks(snapshotted, links)
  const left = new Set(rulesOf(world))
  return [
    ...differences(expected, now),
    ...rules.filter((rule) => !left.has(rule)).map((rule) => `gone: ${rule}`),
    ...stolenAddresses(world, ports),
    ...(isTold([snapshotted.addresses, snapshotted.routes]) ? ["the node believes a pod's router advertisement"] : []),
  ]
}

/** Returns the differences of the node from what it was. */
export function finalDifferences(world: World, { whole }: Baseline): string[] {
  return differences(whole, settled(world))
}

/** Whom a bridge believes to be elsewhere than where it is. */
export function stolenAddresses({ node }: World, ports: Baseline["ports"]): string[] {
  const learned = node.bridge("fdb", "show") as { mac?: string; ifname?: string }[]
  const stolen = learned.filter(({ mac, ifname }) => ports.some((port) => port.mac === mac && port.host !== ifname))
  return stolen.map(({ mac, ifname }) => `${mac} of a witness was learned on ${ifname}`)
}

/** Rules in their chains, as nft writes them. */
export function rulesOf({ node }: World): string[] {
  let [table, chain] = ["", ""]
  return ruleset(node)
    .split("\n")
    .flatMap((line) => {
      const [, opened = ""] = /^(table .*) \{$/.exec(line) ?? []
      const [, inner = ""] = /^\t((?:chain|set|map) .*) \{$/.exec(line) ?? []
      if (opened !== "") table = opened
      if (inner !== "") chain = inner
      const isRule = line.startsWith("\t\t") && chain.startsWith("chain")
      return isRule ? [`${table} ${chain}: ${line.trim()}`] : []
    })
}

/** The links, and what hangs on them. */
function ofLinks({ links, addresses, qdiscs, routes, sysctls }: NamespaceSnapshot, names: ReadonlySet<string>): object {
  const known = ({ ifname = "", dev = ifname }: Named) => names.has(dev)
  const byName = (list: unknown) => Object.fromEntries((list as Named[]).filter(known).map((one) => [one.ifname, one]))
  const [routes4, routes6] = routes as [Named[], Named[]]
  return {
    links: byName(links),
    addresses: byName(addresses),
    qdiscs: (qdiscs as Named[]).filter(known),
    routes: [...routes4, ...routes6].filter(known),
    sysctls: sysctls.filter(
      (line) => names.has(/\/conf\/([^/]+)\//.exec(line)?.[1] ?? "lo") || /\/conf\/(all|default)\//.test(line),
    ),
  }
}

/** Files that say which address is the next to be leased, and those of the attackers themselves. */
const PASSING = /^foreign(\/|$)|^ipam\/(\.cni-ts(\/|$)|\w+\/(lock|last_reserved_ip\.\d+)$)/

/** Pods of a bridge are neighbours: what one of them says as a router is no harm to the node, and its administrator's to forbid. */
const isTold = (value: unknown) =>
  /"protocol":"ra"|"gateway":"fe80::666"/.test(JSON.stringify(value)) || JSON.stringify(value).includes(PREFIX)

function settled({ node, witnesses }: World): NodeSnapshot {
  const { files, pods, ...rest } = snapshot(
    node,
    witnesses.map(({ pod }) => pod),
  )
  const lasting = Object.entries(files).filter(([path]) => !PASSING.test(path))
  const seen = Object.entries(pods).map(([name, pod]) => [
    name,
    { ...pod, addresses: untold(pod.addresses), routes: untold(pod.routes) },
  ])
  return { ...rest, rules: unindexed(rest.rules), files: Object.fromEntries(lasting), pods: Object.fromEntries(seen) }
}

/** Portmap's sets say where to look, and may hold too much if somebody deleted rules: the next ADD that meets such an entry takes it out. */
function unindexed(rules: unknown): unknown {
  const { nftables } = rules as { nftables: { set?: { elem?: unknown } }[] }
  return nftables.map((object) => (object.set ? { set: { ...object.set, elem: undefined } } : object))
}

function untold(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untold).filter((entry) => !isTold(entry))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, untold(inner)]))
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null
}
