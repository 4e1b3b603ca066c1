import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { BASH, run } from "../../conformance/lab/run.ts"
import type { Pod } from "./containerd.ts"

const BIN = fileURLToPath(new URL("../../dist/bin", import.meta.url))
/** The demo's directory for what a node has in /etc/cni/net.d and /var/lib/cni. */
const KEPT = "/run/cni-ts-demo"

/** Puts the node's files where a node has them, for one program; the rest of /etc, /opt and /var/lib is empty. */
const AT_HOME = `
set -e
for empty in /etc /opt /var/lib; do mount -t tmpfs tmpfs $empty; done
mkdir -p /etc/cni/net.d /opt/cni/bin /var/lib/cni/results
mount --bind "$0/net.d" /etc/cni/net.d
mount --bind "$0/results" /var/lib/cni/results
mount --bind "$1" /opt/cni/bin
shift
exec /opt/cni/bin/cni-ts "$@"`

/** Has libcni remember the pod and the network that it is attached to. */
export function remember(pod: Pod, plugins: readonly object[], name: string, result: object): void {
  for (const directory of ["net.d", "results"]) mkdirSync(join(KEPT, directory), { recursive: true })
  const list = JSON.stringify({ cniVersion: "1.0.0", name, plugins })
  writeFileSync(join(KEPT, "net.d", `10-${name}.conflist`), list)
  const entry = {
    kind: "cniCacheV1",
    containerId: pod.id,
    config: Buffer.from(list).toString("base64"),
    ifName: "eth0",
    networkName: name,
    netns: pod.netns,
    cniArgs: [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", pod.name],
    ],
    result,
  }
  writeFileSync(join(KEPT, "results", `${name}-${pod.id}-eth0`), JSON.stringify(entry))
}

/** Returns what `cni-ts` says on the node. */
export function cniTs(...args: readonly string[]): { exitCode: number; stdout: string } {
  // A PATH of its own: the machine's /etc, which may say where programs are, is hidden.
  const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }
  return run(["unshare", "--mount", ...BASH, AT_HOME, KEPT, BIN, ...args], { env })
}
