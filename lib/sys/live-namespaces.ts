import { listDirectory, readText } from "./file.ts"
import { type FileStatus, fileStatus } from "./file-status.ts"
import { mountedNamespaces } from "./mountinfo.ts"
import { failedWith, SystemError } from "./system-error.ts"

/** The first process of the machine or the node container is in no pod, and others may not be allowed to examine it. */
const INIT = "1"

/**
 * Returns a path to each network namespace that exists, by its inode; undefined for one whose mount is hidden by another. Reads every mount
 * and every thread of the machine, with a system call each, from this process's mount namespace. A namespace that only an open file or a
 * mount in another mount namespace holds is not seen. Throws SystemError if a thread cannot be examined: then nothing is certain.
 */
export function readLiveNamespaces(): ReadonlyMap<string, string | undefined> {
  const paths = new Map<string, string | undefined>()
  for (const { inode, path } of mountedNamespaces(readText("/proc/self/mountinfo"))) {
    if (paths.get(inode) === undefined) paths.set(inode, isAt(path, inode) ? path : undefined)
  }
  eachThread((path, { inode }) => {
    if (paths.get(`${inode}`) === undefined) paths.set(`${inode}`, path)
  })
  return paths
}

/** Returns a path to each of these namespaces. Throws SystemError if one cannot be examined or its mount is hidden. */
export function liveNamespacePaths(): string[] {
  return Array.from(readLiveNamespaces(), ([inode, path]) => {
    if (path === undefined) throw new SystemError("ENOENT", `find where net:[${inode}] is mounted`)
    return path
  })
}

/** Returns true if the namespace is visible at its mount, with nothing mounted over it. */
function isAt(path: string, inode: string): boolean {
  try {
    return `${fileStatus(path).inode}` === inode
  } catch (error) {
    if (failedWith(error, "ENOENT", "ENOTDIR")) return false
    throw error
  }
}

/**
 * Returns the processes in each network namespace, by its inode, at most `enough` of each, without init. Throws SystemError if one cannot
 * be examined.
 */
export function readNetworkProcesses(enough: number): ReadonlyMap<bigint, readonly string[]> {
  const found = new Map<bigint, string[]>()
  for (const pid of listProcesses()) {
    const inode = unlessGone(() => namespaceOf(`/proc/${pid}`))?.inode
    if (inode === undefined) continue
    const pids = found.get(inode)
    if (!pids) found.set(inode, [pid])
    else if (pids.length < enough) pids.push(pid)
  }
  return found
}

/** Lists all processes but init. */
function listProcesses(): string[] {
  const pids = numbersIn("/proc")
  if (!pids.includes(INIT)) throw new SystemError("EACCES", "see the processes of others in /proc") // hidepid=
  return pids.filter((pid) => pid !== INIT)
}

function eachThread(look: (path: string, namespace: FileStatus) => void): void {
  for (const pid of listProcesses()) {
    for (const id of unlessGone(() => numbersIn(`/proc/${pid}/task`)) ?? []) {
      const thread = `/proc/${pid}/task/${id}`
      const status = unlessGone(() => namespaceOf(thread))
      if (status) look(`${thread}/ns/net`, status)
    }
  }
}

function namespaceOf(thread: string): FileStatus {
  try {
    return fileStatus(`${thread}/ns/net`)
  } catch (error) {
    if (failedWith(error, "EACCES")) fileStatus(thread) // throws ENOENT if the thread has just ended, which is EACCES too
    throw error
  }
}

function numbersIn(directory: string): string[] {
  return listDirectory(directory).filter((name) => "0" <= name && name < ":")
}

/** Returns undefined if the process has ended, which has no namespace even before its parent has waited for it. */
function unlessGone<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "ENOENT", "ESRCH")) return undefined
    throw error
  }
}
