import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { join } from "node:path"
import { output } from "../lab/run.ts"
import { Cri } from "../systems/containerd/cri.ts"
import { CACHE, PAUSE_ARCHIVE } from "../systems/containerd/programs.ts"
import { type Place, PROGRAMS, write } from "./place.ts"

/** What it is told if a kubelet calls it; the last setting is for machines that allow root less than others. */
export const CONTAINERD_TOML = `
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "cni-ts.test/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
`

/** The plugins' log of what containerd has called. */
export const LOG = "/var/lib/cni-ts.log"

/** Starts containerd 2.2 with the configuration in /etc/containerd. It ends with its machine. */
export function startContainerd({ node, machine }: Place): void {
  const log = openSync(join(node.dir, "containerd.log"), "a")
  const [program = "", ...args] = machine.inside(["containerd"])
  spawn(program, args, { env: { ...PROGRAMS, CNI_TS_LOG: LOG }, stdio: ["ignore", log, log] })
  closeSync(log)
}

/** Starts it for a kubelet, or for crictl, with the network that a file in /etc/cni/net.d describes. */
export async function startCri(place: Place, file: string, network: string): Promise<Cri> {
  const { machine } = place
  output(["cp", join(CACHE, "root/usr/bin/crictl"), machine.path("/usr/bin/crictl")])
  output(["cp", PAUSE_ARCHIVE, machine.path("/pause.tar")])
  output(["rm", machine.path("/etc/cni/net.d/87-podman-bridge.conflist")])
  write(machine, `/etc/cni/net.d/${file}`, network)
  write(machine, "/etc/containerd/config.toml", CONTAINERD_TOML)
  startContainerd(place)
  const cri = new Cri(machine)
  await cri.ready()
  cri.importPauseImage("/pause.tar")
  return cri
}
