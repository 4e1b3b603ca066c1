import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** The directory that `prepare` made. */
export const CACHE = resolve(fileURLToPath(import.meta.url), "../../../../.cache/containerd")

/** The environment of daemons and clients. */
export const PROGRAMS = {
  PATH: `${CACHE}/root/usr/sbin:${CACHE}/root/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  HOME: "/root",
}

export const SOCKET = "/run/containerd/containerd.sock"
export const PAUSE_ARCHIVE = join(CACHE, "pause.tar")
const PAUSE_IMAGE = "cni-ts.test/pause:1"

/** Returns containerd's configuration, wherever it runs; runc needs the fourth setting if it may not lower oom_score_adj. */
export function containerdConfig(binDirectory: string, networkDirectory: string): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${binDirectory}"
    conf_dir = "${networkDirectory}"
`
}
