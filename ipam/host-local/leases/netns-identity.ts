import { mountNamespace, readBootId } from "../../../lib/sys/boot.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import { cookieOf } from "../../../lib/sys/netns.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import type { Residence } from "./lease-record.ts"

/** Returns what `netns` is to this process; undefined if it is no network namespace or cannot be examined. */
export function readResidence(netns: string): Residence | undefined {
  const residence = netns === "" ? undefined : look(netns)
  if (!residence || residence.namespace === "-") return residence
  const cookie = cookieOf(netns)
  return cookie === undefined ? residence : { ...residence, namespace: `${residence.namespace}#${cookie}` }
}

function look(netns: string): Residence | undefined {
  try {
    const [namespace, mounts] = [fileStatus(netns), mountNamespace()]
    if (namespace.device !== mounts.device) return undefined // every namespace is a file of the one nsfs
    // Below /proc/PID/root another process's mounts begin, of which we see nothing later.
    const isOurs = namespace.isMount && !netns.includes("/proc/")
    return {
      boot: readBootId(),
      mounts: `${mounts.inode}`,
      namespace: isOurs ? `${namespace.inode}` : "-",
      path: netns,
    }
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}

/** The lease file as it is now; undefined if there is none. */
export function stampOf(path: string): string | undefined {
  try {
    const { inode, modified, nanoseconds } = fileStatus(path)
    return `${inode}.${modified}.${nanoseconds}`
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
