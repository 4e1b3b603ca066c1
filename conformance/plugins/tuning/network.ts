import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { Implementation } from "../../lab/executables.ts"
import type { Node, Pod } from "../../lab/node.ts"
import { LimitedPod } from "../bandwidth/limited.ts"
import { type Config, Network } from "../bridge/network.ts"

/** A setting of the pod's interface alone, which goes with it. */
export const SYSCTL = "net.ipv4.conf.IFNAME.arp_filter"

/** All that tuning can set of the pod's interface. */
export const ALL_OF_INTERFACE: Config = {
  sysctl: { [SYSCTL]: "1" },
  mac: "02:00:00:00:00:7a",
  mtu: 1300,
  promisc: true,
  allmulti: true,
  txQLen: 500,
}

/** The same, and a setting of the whole pod. */
export const ALL: Config = {
  ...ALL_OF_INTERFACE,
  sysctl: { "net.ipv4.conf.all.log_martians": "1", [SYSCTL]: "1" },
}

/** A network of tuning for pods that have an `eth0` with an MTU of 1400, of which `prevResult` says so. */
export function tuning(node: Node, config: Config = {}, implementation: Implementation = "ours"): Network {
  return new Network(node, { type: "tuning", dataDir: join(node.dir, "tuning"), ...config }, implementation)
}

/** Makes such a pod; returns what an earlier plugin's ADD would have said. */
export function prepare(node: Node, pod: Pod, veth = "veth0"): { readonly prevResult: Config } {
  const { prevResult } = new LimitedPod(node, { pod, veth })
  return { prevResult: { ...prevResult } }
}

/** Returns what `ip` says of the settings of the pod's interface. */
export function settings(pod: Pod, ifname = "eth0"): Config {
  const { address, mtu, flags = [], txqlen, promiscuity } = pod.link(ifname) ?? {}
  const [promisc, allmulti] = ["PROMISC", "ALLMULTI"].map((flag) => flags.includes(flag))
  return { mac: address, mtu, promisc, allmulti, txqlen, promiscuity }
}

/** Returns what is kept for DEL: each file's text by its name. */
export function backups(node: Node): Readonly<Record<string, string>> {
  const directory = join(node.dir, "tuning")
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith(".json")) : []
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "utf8")]))
}
