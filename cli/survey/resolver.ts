import { parseResolvConf } from "../../ipam/host-local/resolv-conf.ts"
import type { Dns } from "../../lib/cni/result.ts"
import { readRegular } from "../../lib/sys/file.ts"
import { type FileStatus, fileStatus, linkStatus, S_IFDIR, sameFile } from "../../lib/sys/file-status.ts"
import { failedWith } from "../../lib/sys/system-error.ts"

const MAX_BYTES = 64 << 10

/** The nameservers of a pod, as one of its processes sees it. */
export interface Resolver {
  readonly dns: Dns
  /** The file, by a path of the node. */
  readonly path: string
}

/**
 * Returns the first resolv.conf of the processes that names a nameserver. A process that has the node's files sees the node's, and says
 * nothing of its pod. What a pod has put in the way, such as a symbolic link to a file of the node, is not followed.
 */
export function findResolver(pids: readonly string[]): Resolver | undefined {
  const nodes = ["/", "/proc/1/root"].flatMap((path) => unlessGone(() => fileStatus(path)) ?? [])
  for (const pid of pids) {
    const path = `/proc/${pid}/root/etc/resolv.conf`
    const text = unlessGone(() => readOwn(`/proc/${pid}/root`, nodes))
    const dns = text === undefined ? undefined : parseResolvConf(text)
    if (dns && dns.nameservers.length > 0) return { dns, path }
  }
  return undefined
}

function readOwn(root: string, nodes: readonly FileStatus[]): string | undefined {
  const own = fileStatus(root)
  if (nodes.some((node) => sameFile(node, own)) || linkStatus(`${root}/etc`).type !== S_IFDIR) return undefined
  return readRegular(`${root}/etc/resolv.conf`, MAX_BYTES)
}

/** Returns undefined if a process has ended meanwhile, or is closed to this one. */
function unlessGone<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "ENOENT", "ESRCH", "EACCES", "ENOTDIR")) return undefined
    throw error
  }
}
