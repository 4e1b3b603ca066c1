import type { Described, Namespace } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { isLinkLocal } from "../../lab/snapshot.ts"

/** One side of an attachment as the machine's own tools show it, comparable between two nodes. */
export interface Observed {
  readonly links: readonly Described[]
  readonly addresses: readonly Described[]
  readonly routes: readonly Described[]
  readonly ports: readonly Described[]
  readonly sysctls: readonly string[]
}

/** The node and the pod, names and MAC addresses that differ from run to run replaced by what they stand for. */
export function observe(node: Node, pod: Pod): { node: Observed; pod: Observed } {
  return { node: side(node), pod: side(pod) }
}

function side(namespace: Namespace): Observed {
  const routes = [4, 6].flatMap((family) => namespace.ip(`-${family}`, "route", "show", "table", "all"))
  return {
    links: sorted(namespace.ip("-d", "link", "show")).map(general),
    addresses: sorted(namespace.ip("addr", "show")).map(general),
    // Those of table local follow from the addresses, later where duplicates are looked for.
    routes: routes.filter((route) => route["table"] !== "local" && !isLinkLocal(route)).map(general),
    ports: sorted(namespace.bridge("link", "show")).map(general),
    sysctls: readSysctls(namespace).map((line) => line.replace(VETH, "VETH")),
  }
}

const SYSCTLS = ["ipv4/ip_forward", "ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"].map(
  (name) => `/proc/sys/net/${name}`,
)

/** All settings of the namespace and its links as `ipv6/conf/eth0/accept_ra:0`, or of one link as `ipv6/conf/LINK/accept_ra:0`. */
export function readSysctls(namespace: Namespace, link?: string): string[] {
  const lines = namespace
    .run("grep", "-rs", "", ...SYSCTLS)
    .stdout.replaceAll("/proc/sys/net/", "")
    .split("\n")
    .sort()
  if (link === undefined) return lines
  return lines.filter((line) => line.includes(`/${link}/`)).map((line) => line.replace(`/${link}/`, "/LINK/"))
}

const VETH = /\bveth[0-9a-v]{8,11}\b/g
const MAC = /^(?!ff:|00:00:00:00:00:00)([0-9a-f]{2}:){5}[0-9a-f]{2}$/
const ACCIDENTAL =
  /_timer$|_life_time$|^(ifindex|link_index|link_netnsid|link_netns|tentative|root_id|bridge_id|designated_.*|metainfo|tso_max_size|operstate)$/

/** The kernel gives and takes these some time after the carrier. */
const LATE_FLAGS: ReadonlySet<unknown> = new Set(["NO-CARRIER", "LOWER_UP", "linkdown"])

function sorted(list: readonly Described[]): Described[] {
  return [...list].sort((a, b) => (a.ifname ?? "").localeCompare(b.ifname ?? ""))
}

function general(value: Described): Described {
  return generalValue(value) as Described
}

function generalValue(value: unknown): unknown {
  if (typeof value === "string") return MAC.test(value) ? "MAC" : value.replace(VETH, "VETH")
  if (Array.isArray(value))
    return value.filter((entry) => !LATE_FLAGS.has(entry) && !isLinkLocal(entry)).map(generalValue)
  if (typeof value !== "object" || value === null) return value
  const kept = Object.entries(value).filter(([key]) => !ACCIDENTAL.test(key))
  return Object.fromEntries(kept.map(([key, inner]) => [key, generalValue(inner)]))
}

/** The exact text, with names and MAC addresses that differ from run to run replaced. */
export function mask(text: string, netns: string | RegExp): string {
  return text
    .replace(netns, "NETNS")
    .replaceAll(/"veth[0-9a-v]{8,11}"/g, '"VETH"')
    .replaceAll(/"([0-9a-f]{2}:){5}[0-9a-f]{2}"/g, '"MAC"')
}
