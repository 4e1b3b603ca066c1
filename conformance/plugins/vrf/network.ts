import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, Network } from "../bridge/network.ts"

export const QUIET = { exitCode: 0, stdout: "", stderr: "" }
export const BOTH: readonly Implementation[] = ["ours", "reference"]

/** Makes interfaces of the pod, each with one end on the node; `ip` reads the rest, such as addresses and routes, in the pod. */
const INTERFACES = `
set -e
pod=$0 links=$1
pod() { nsenter --net=/run/netns/"$pod" "$@"; }
pod sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
index=$((1000 + $$ % 10000 * 8)) # whose peers have other ones: the kernel would take a second to say that such a link is up
for link in $links; do
  ip link add "v$$$link" index $((index += 1)) type veth peer name "$link" netns "$pod"
  ip link set "v$$$link" up
  pod ip link set "$link" up
  until pod ip -6 addr show dev "$link" | grep -q fe80; do :; done
done
pod ip -batch -
`

export const ADDRESSES = ["addr add 10.1.0.2/24 dev eth0", "addr add fd10::2/64 dev eth0"]
export const ROUTES = [
  "route add default via 10.1.0.1",
  "route add 10.50.0.0/16 via 10.1.0.9",
  "route add default via fd10::1",
  "route add fd50::/32 via fd10::9",
]

/** Returns a pod with these interfaces, as other plugins may have made them. */
export function podWith(node: Node, lines: readonly string[] = ADDRESSES, links = "eth0"): Pod {
  const pod = node.pod()
  output(node.inside(["sh", "-c", INTERFACES, pod.name, links]), { stdin: `${lines.join("\n")}\n` })
  return pod
}

/** A network of `vrf` with the VRF `blue`, of pods whose results say nothing but the interface. */
export function vrf(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "vrf", vrfname: "blue", ...config }, implementation)
}

/** The answer that a plugin before would have given. */
export function resultOf(pod: Pod, ifname = "eth0"): Config {
  const mac = pod.link(ifname)?.address
  return { cniVersion: "1.1.0", interfaces: [{ name: ifname, mac, sandbox: pod.path }] }
}

/** The routes of a table as `dst dev LINK` or `dst via gateway`: not the kernel's own of addresses, broadcast and multicast. */
export function routesIn(pod: Pod, table: number | "main"): string[] {
  const own = unicastRoutes(pod).filter((route) => tableNameOf(route) === String(table))
  return own.map(formatted).sort()
}

function unicastRoutes(pod: Pod): Described[] {
  const routes = [4, 6].flatMap((family) => pod.ip(`-${family}`, "route", "show", "table", "all"))
  return routes.filter(({ type = "unicast", dst = "" }) => type === "unicast" && !/^(fe80|ff00)/.test(dst))
}

function tableNameOf({ table = "main" }: Described): unknown {
  return table
}

function formatted({ dst, dev, gateway, nexthops }: Described): string {
  if (nexthops) return `${dst} via ${(nexthops as Described[]).map((hop) => hop.gateway).sort()}`
  return gateway === undefined ? `${dst} dev ${dev}` : `${dst} via ${gateway}`
}

/** The table of a VRF; undefined if there is none of that name. */
export function tableOf(pod: Pod, name = "blue"): unknown {
  return pod.link(name)?.linkinfo?.info_data?.["table"]
}

/** Returns what `ip` says of links, addresses and routes of the pod, but for what the kernel does in its own time. */
export function stateOf(pod: Pod): readonly string[] {
  const links = pod.ip("addr", "show")
  const addresses = links.flatMap(({ ifname, addr_info = [] }) => addr_info.map(({ local }) => `${local} on ${ifname}`))
  return [
    ...links.map(({ ifname, master, flags }) => `${ifname} of ${master}, up: ${flags?.includes("UP")}`),
    ...addresses.filter((line) => !line.startsWith("fe80")),
    ...unicastRoutes(pod).map((route) => `${tableNameOf(route)}: ${formatted(route)}`),
  ].sort()
}
