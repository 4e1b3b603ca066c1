import { mountNamespace, readBootId } from "../../../lib/sys/boot.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import { cookieOf } from "../../../lib/sys/netns.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"

/** A network namespace, described so that a later process can tell if it still exists. */
export interface NetnsIdentity {
  readonly boot: string
  /** The inode of the mount namespace in which `path` leads to it. */
  readonly mounts: string
  /**
   * Its inode, then `#` and its cookie if the kernel tells it, because inode numbers are used again; `-` if it is not mounted in our mount
   * namespace. Earlier versions wrote `@` and a time behind the inode, which is ignored.
   */
  readonly namespace: string
  readonly path: string
}

/** Reads the identity of the network namespace at `netns`; undefined if it is none or cannot be examined. */
export function readNetnsIdentity(netns: string): NetnsIdentity | undefined {
  const identity = netns === "" ? undefined : identityByInode(netns)
  if (!identity || identity.namespace === "-") return identity
  const cookie = cookieOf(netns)
  return cookie === undefined ? identity : { ...identity, namespace: `${identity.namespace}#${cookie}` }
}

/** Returns true if a namespace other than `own` was recorded, and certainly exists: it is still where it was mounted. */
export function existsElsewhere(recorded: NetnsIdentity, own: NetnsIdentity): boolean {
  const [there, here] = [recorded, own].map(({ namespace }) => namespace.split("#")[0])
  if (recorded.boot !== own.boot || there === "-" || here === "-" || there === here) return false
  return readNetnsIdentity(recorded.path)?.namespace === recorded.namespace
}

function identityByInode(netns: string): NetnsIdentity | undefined {
  try {
    const namespace = fileStatus(netns)
    const mounts = mountNamespace()
    if (namespace.device !== mounts.device) return undefined // every namespace is a file of the one nsfs
    // Below /proc/PID/root begin another process's mounts, which later processes may not see.
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
