import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, Network } from "../bridge/network.ts"

/** The second interface's own address and gateway, in each family. */
export const V4 = { address: "192.168.1.209/24", gateway: "192.168.1.1" }
export const V6 = { address: "fd01::209/64", gateway: "fd01::1" }
/** An address of the node that pods reach by their gateways alone. */
export const BEYOND = "203.0.113.1"
export const BEYOND6 = "fd77::1"

export const QUIET = { exitCode: 0, stdout: "", stderr: "" }

/**
 * Makes the pod's eth0 with a default route, and net1 with the addresses above; the node answers at both gateways. Addresses are given once
 * the links have carriers, or the kernel would make some of their routes later.
 */
const INTERFACES = `
set -e
pod() { nsenter --net=/run/netns/"$POD" "$@"; }
pair() {
  ip link add "$1" index $((index += 1)) type veth peer name "$2" address "$3" netns "$POD"
  ip link set "$1" up
  pod ip link set "$2" up
  until ip -6 addr show dev "$1" | grep -q fe80 && pod ip -6 addr show dev "$2" | grep -q fe80; do :; done
}
POD=$0
index=1000 # whose peers have other ones: the kernel would take a second to say that such a link is up
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
pod sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
pair host0 eth0 02:00:00:00:00:10
pair host1 net1 02:00:00:00:00:11
ip -batch - <<end
addr add ${BEYOND}/32 dev lo
addr add ${BEYOND6}/128 dev lo
addr add 10.0.0.1/24 dev host0
addr add fd00::1/64 dev host0
addr add ${V4.gateway}/24 dev host1
addr add ${V6.gateway}/64 dev host1
end
pod ip -batch - <<end
addr add 10.0.0.2/24 dev eth0
addr add fd00::2/64 dev eth0
addr add ${V4.address} dev net1
addr add ${V6.address} dev net1
route add default via 10.0.0.1
end
pod ip -6 route add default via fd00::1
ready() { "$@" ip -6 route show table local | grep -c '^local fd' || true; }
until [ "$(ready env)" = 3 ] && [ "$(ready pod)" = 2 ]; do :; done
`

/** Returns a pod with two interfaces, as another plugin has made them. */
export function podOfTwo(node: Node): Pod {
  const pod = node.pod()
  output(node.inside(["sh", "-c", INTERFACES, pod.name]))
  return pod
}

/** Returns what the plugin that made net1 has said: both addresses, unless others are given. */
export function told(pod: Pod, ips: readonly Config[] = [V4, V6], more: Config = {}): Config {
  const interfaces = [{ name: "net1", mac: "02:00:00:00:00:11", sandbox: pod.path }]
  return { cniVersion: "1.1.0", interfaces, ips: ips.map((ip) => ({ interface: 0, ...ip })), ...more }
}

/** A network of sbr whose calls are about net1, with both its addresses unless `config` says otherwise. */
export class Sbr extends Network {
  readonly pod: Pod

  constructor(node: Node, pod: Pod, config: Config = {}, implementation: Implementation = "ours") {
    super(node, { type: "sbr", prevResult: told(pod), ...config }, implementation)
    this.pod = pod
  }

  /** ADD, CHECK or DEL of the pod's net1. */
  call(command: string, config: Config = {}) {
    return this.ask(command, this.pod, { ifname: "net1", config })
  }

  of(implementation: Implementation, config: Config = {}): Sbr {
    return new Sbr(this.node, this.pod, { ...this.config, ...config }, implementation)
  }
}

/** Returns the pod's rules of routing policy but for the kernel's three, in the order in which packets meet them: `192.168.1.209 to 100`. */
export function rules(pod: Pod): string[] {
  return ["-4", "-6"].flatMap((family) =>
    pod
      .ip(family, "rule", "show")
      .filter(({ priority }) => Number(priority) > 0 && Number(priority) < 32766)
      .map(
        ({ src, srclen, dst, table }) => `${src}${srclen ? `/${srclen}` : ""}${dst ? ` for ${dst}` : ""} to ${table}`,
      ),
  )
}

/** Returns the routes of a table, link-local ones left out: `default via 192.168.1.1 dev net1`. */
export function routesIn(pod: Pod, table: string, families = ["-4", "-6"]): string[] {
  return families
    .flatMap((family) => pod.ip(family, "route", "show", "table", "all"))
    .filter((route) => String(route["table"] ?? "main") === table && !/^(fe80:|ff00:|multicast)/.test(`${route.dst}`))
    .map(routeText)
    .sort()
}

function routeText({ dst, gateway, dev, metric, flags = [], prefsrc, scope, protocol }: Described): string {
  const words = { via: gateway, dev, metric, src: prefsrc, scope, proto: protocol === "boot" ? undefined : protocol }
  const said = Object.entries(words).flatMap(([key, value]) => (value === undefined ? [] : [`${key} ${value}`]))
  return [dst, ...said, ...flags].join(" ")
}

/** Returns where packets to `to` go that are sent from `from`: interface, and gateway if there is one. */
export function wayOf(pod: Pod, from: string, to: string): string {
  const [route] = pod.ip("route", "get", to, "from", from)
  return [route?.dev, route?.gateway].filter(Boolean).join(" via ")
}
