import type { Node, Pod } from "../../lab/node.ts"
import { watch } from "../../lab/ruleset.ts"
import { output } from "../../lab/run.ts"
import { type Config, DUAL, hostLocal } from "./network.ts"

export const OUTSIDE = ["198.51.100.2", "fd00:beef::2"]

/** A host beyond the node, with the addresses of OUTSIDE, that knows no way back to the pods' networks. */
export function outside(node: Node): Pod {
  const host = node.pod()
  output(node.inside(["ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", host.name]))
  for (const [side, link, number] of [
    [node, "uplink", 1],
    [host, "eth0", 2],
  ] as const) {
    // Until its link-local address is no longer tentative the kernel forwards no IPv6 packet by the link.
    output(side.inside(["sysctl", "-qw", `net.ipv6.conf.${link}.accept_dad=0`]))
    side.ip("addr", "add", `198.51.100.${number}/24`, "dev", link)
    side.ip("addr", "add", `fd00:beef::${number}/64`, "dev", link, "nodad")
    side.ip("link", "set", link, "up")
  }
  return host
}

/** Counts the echo requests that arrive: by the node's addresses (IPv4, IPv6) and by the pods' own. */
export function watchSources(host: Pod): () => { node: number[]; pods: number[] } {
  const counts = watch(
    host,
    "ip saddr 198.51.100.1 icmp type echo-request",
    "ip6 saddr fd00:beef::1 icmpv6 type echo-request",
    "ip saddr 10.244.1.0/24 icmp type echo-request",
    "ip6 saddr fd00:10:244:1::/64 icmpv6 type echo-request",
  )
  return () => ({ node: counts().slice(0, 2), pods: counts().slice(2) })
}

/** The keys of a network that masquerades. */
export function masqueraded(node: Node, subnets: readonly string[] = DUAL): Config {
  return { isDefaultGateway: true, ipMasq: true, ipam: hostLocal(node, subnets) }
}
