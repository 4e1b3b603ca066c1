import { writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { binDirectory } from "../lab/executables.ts"
import { Machine } from "../lab/machine.ts"
import { Node, type Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"

const CACHE = resolve(fileURLToPath(import.meta.url), "../../../.cache/clients")
const ARCHIVE = join(CACHE, "image.tar")
export const IMAGE = "cni-ts.test/container:1"

/** The machine's own addresses, and those of the neighbour on its network. */
export const HERE = { ipv4: "198.51.100.1", ipv6: "fd00:51::1" }
export const THERE = { ipv4: "198.51.100.2", ipv6: "fd00:51::2" }

/** The environment of daemons and clients. */
export const PROGRAMS = { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" }

/** Another network of the neighbour's; the machine has a link to it and no address. */
export const ELSEWHERE = { subnet: "203.0.113.0/24", neighbour: "203.0.113.2", link: "spare" }

export interface Place {
  readonly node: Node
  readonly neighbour: Pod
  readonly machine: Machine
}

/** Starts a machine of Debian 12 with our executables alone in /opt/cni/bin, and a neighbour on its network. */
export async function startMachine(): Promise<Place> {
  const node = new Node()
  const neighbour = connectNeighbour(node)
  const machine = await Machine.start(node, join(CACHE, "root"))
  output(["cp", "-a", binDirectory(), machine.path("/opt/cni/bin")])
  output(["cp", ARCHIVE, machine.path("/image.tar")])
  write(machine, "/etc/hosts", "127.0.0.1 localhost\n")
  write(machine, "/etc/resolv.conf", `nameserver ${THERE.ipv4}\n`)
  return { node, neighbour, machine }
}

/** Writes a file of a machine. */
export function write(machine: Machine, path: string, text: string): void {
  output(["mkdir", "-p", dirname(machine.path(path))])
  writeFileSync(machine.path(path), text)
}

function connectNeighbour(node: Node): Pod {
  const neighbour = node.pod()
  node.ip("link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", neighbour.name)
  for (const [view, link, { ipv4, ipv6 }] of [[node, "uplink", HERE] as const, [neighbour, "eth0", THERE] as const]) {
    view.ip("addr", "add", `${ipv4}/24`, "dev", link)
    view.ip("addr", "add", `${ipv6}/64`, "dev", link, "nodad")
    view.ip("link", "set", link, "up")
  }
  node.ip("link", "add", ELSEWHERE.link, "type", "veth", "peer", "name", "eth1", "netns", neighbour.name)
  node.ip("link", "set", ELSEWHERE.link, "up")
  neighbour.ip("addr", "add", `${ELSEWHERE.neighbour}/24`, "dev", "eth1")
  neighbour.ip("link", "set", "eth1", "up")
  node.ip("route", "add", "default", "via", THERE.ipv4)
  node.ip("-6", "route", "add", "default", "via", THERE.ipv6)
  return neighbour
}
