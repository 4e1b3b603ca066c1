import { listDirectory, readText } from "./file.ts"
import { type FileStatus, fileStatus } from "./file-status.ts"
import { mountedNamespaces } from "./mountinfo.ts"
import { failedWith, SystemError } from "./system-error.ts"

/** Network namespaces that live, seen from this process's mount namespace and the processes it can see. */
export interface LiveNamespaces {
  /** The stamps of those that are mounted. */
  readonly mounted: ReadonlySet<string>
  /** The inodes of those that a thread is in, or that are mounted out of sight, and of which there is no stamp. */
  readonly unmounted: ReadonlySet<string>
}

/**
 * Tells a mounted namespace from all others of this boot. Inode numbers are soon used again; the times of the inode are those of
 * its first being looked at, and do not change while it is mounted.
 */
export function stampOfMounted({ inode, modified, nanoseconds }: FileStatus): string {
  return `${inode}@${modified}.${nanoseconds}`
}

/** The machine's or the node container's first process lives in no pod, and may be closed to all others. */
const INIT = "1"

/**
 * Looks at every mount and at every thread of the machine, which costs a system call each. A namespace that is held by nothing but an
 * open file or by a mount in another mount namespace is not seen. Throws SystemError where a thread cannot be examined: then
 * nothing is certain.
 */
export function readLiveNamespaces(): LiveNamespaces {
  const mounted = new Set<string>()
  const unmounted = new Set<string>()
  for (const { inode, path } of mountedNamespaces(readText("/proc/self/mountinfo"))) {
    const status = unlessGone(() => fileStatus(path))
    if (status && `${status.inode}` === inode) mounted.add(stampOfMounted(status))
    else unmounted.add(inode)
  }
  eachThread((_path, status) => {
    if (!mounted.has(stampOfMounted(status))) unmounted.add(`${status.inode}`)
  })
  return { mounted, unmounted }
}

/** A path to each of these namespaces. Throws SystemError where one cannot be examined or is mounted out of sight. */
export function liveNamespacePaths(): string[] {
  const paths = new Map<string, string>()
  for (const { inode, path } of mountedNamespaces(readText("/proc/self/mountinfo"))) {
    if (`${fileStatus(path).inode}` !== inode) throw new SystemError("ENOENT", `find what is mounted at ${path}`)
    paths.set(inode, path)
  }
  eachThread((path, { inode }) => {
    if (!paths.has(`${inode}`)) paths.set(`${inode}`, path)
  })
  return [...paths.values()]
}

function eachThread(look: (path: string, namespace: FileStatus) => void): void {
  for (const pid of numbersIn("/proc")) {
    if (pid === INIT) continue
    for (const thread of numbersIn(`/proc/${pid}/task`)) {
      const path = `/proc/${pid}/task/${thread}/ns/net`
      const status = unlessGone(() => fileStatus(path))
      if (status) look(path, status)
    }
  }
}

function numbersIn(directory: string): string[] {
  const names = unlessGone(() => listDirectory(directory)) ?? []
  return names.filter((name) => "0" <= name && name < ":")
}

/** A process may end at any moment, and has no namespace any more when it has ended and its parent does not know yet. */
function unlessGone<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "ENOENT", "ESRCH", "ENOTDIR")) return undefined
    throw error
  }
}
