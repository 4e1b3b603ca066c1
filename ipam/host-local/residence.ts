import { mountNamespace, readBootId } from "../../lib/sys/boot.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"
import { stampOfMounted } from "../../lib/sys/live-namespaces.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import type { Residence } from "./tenancy.ts"

/** What `netns` is to this process; undefined where it is no network namespace or cannot be examined. */
export function readResidence(netns: string): Residence | undefined {
  if (netns === "") return undefined
  try {
    const [namespace, mounts] = [fileStatus(netns), mountNamespace()]
    if (namespace.device !== mounts.device) return undefined // every namespace is a file of the one nsfs
    const stamp = namespace.isMount ? stampOfMounted(namespace) : "-"
    return { boot: readBootId(), mounts: `${mounts.inode}`, namespace: stamp, path: netns }
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
