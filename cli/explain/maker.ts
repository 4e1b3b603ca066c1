import { isOfAnyBuild } from "../../lib/sys/build.ts"
import { openRead, readAll } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"

/** The maker of an executable: us, or the authors of the plugins in Go (containernetworking/plugins). */
export type Maker = "cni-ts" | "reference"

/** The note of the Go compiler in an executable: the path of the package it was made from. */
const MODULE = "github.com/containernetworking/plugins/plugins/"
const LARGEST = 64 << 20

/** The plugins that change nothing beyond namespaces and their own directories: `dhcp` asks a daemon of the node. */
const CONFINED = new Set([
  ...["bandwidth", "bridge", "dummy", "firewall", "host-device", "host-local", "ipvlan", "loopback", "macvlan"],
  ...["portmap", "ptp", "sbr", "static", "tap", "tuning", "vlan", "vrf"],
])

/** Returns who made the executable; undefined if it may do anything to the node. Throws SystemError. */
export function makerOf(type: string, path: string): Maker | undefined {
  if (!CONFINED.has(type)) return undefined
  if (isOfAnyBuild(path)) return "cni-ts"
  using file = openRead(path)
  return host.decode(readAll(file.fd, path, { limit: LARGEST })).includes(MODULE) ? "reference" : undefined
}
