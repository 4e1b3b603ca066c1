import { Descriptor, openRead } from "./file.ts"
import { type FileStatus, fileStatus, sameFile } from "./file-status.ts"
import { host } from "./host.ts"
import { lock } from "./lock.ts"
import { NETLINK_ROUTE } from "./netlink-socket.ts"
import { checked, failedWith, SystemError } from "./system-error.ts"

const OWN = "/proc/self/ns/net"

const SOL_SOCKET = 1
const SO_NETNS_COOKIE = 71

/** A network namespace held open: it lives at least until this is closed. */
export class NetworkNamespace implements Disposable {
  readonly path: string
  readonly #file: Descriptor
  readonly #home: Descriptor

  /** Throws SystemError, ENOENT when there is no such path. Whether it is a network namespace shows when it is entered. */
  constructor(path: string) {
    this.path = path
    this.#file = openRead(path)
    this.#home = openRead(OWN)
  }

  get fd(): number {
    return this.#file.fd
  }

  /**
   * Waits until this process alone has the namespace locked, until it is closed: a kernel's lock on the namespace itself, whatever path leads
   * there, which ends with the process. Throws TimedOut.
   */
  lock(): void {
    lock(this.#file.fd, this.path)
  }

  /**
   * Runs `body` in this namespace and comes back whatever it does. Only what `body` opens and writes belongs there:
   * it must not wait, and must not start threads or processes, which would stay behind. Throws SystemError EINVAL if the
   * path is no network namespace.
   */
  inside<Value>(body: () => Value): Value {
    checked(`enter network namespace ${this.path}`, host.enterNetwork(this.#file.fd))
    try {
      return body()
    } finally {
      checked("return to the host's network namespace", host.enterNetwork(this.#home.fd))
    }
  }

  /**
   * Returns what tells this namespace from every other of this boot (SO_NETNS_COOKIE, Linux 5.14); undefined if the kernel does not, or if
   * this process may not enter it. Throws SystemError if the process did not come back.
   */
  cookie(): bigint | undefined {
    if (host.enterNetwork(this.#file.fd) < 0) return undefined
    const socket = host.netlink(NETLINK_ROUTE)
    checked("return to the host's network namespace", host.enterNetwork(this.#home.fd))
    if (socket < 0) return undefined
    using file = new Descriptor(socket)
    const value = new BigUint64Array(1)
    const length = host.getOption(file.fd, SOL_SOCKET, SO_NETNS_COOKIE, new Uint8Array(value.buffer))
    return length === value.byteLength ? value[0] : undefined
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
    this.#home[Symbol.dispose]()
  }
}

/** As NetworkNamespace.cookie(), of the one at `path`; undefined also if that cannot be opened. */
export function cookieOf(path: string): bigint | undefined {
  using namespace = openedOrNone(path)
  return namespace?.cookie()
}

function openedOrNone(path: string): NetworkNamespace | undefined {
  try {
    return new NetworkNamespace(path)
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}

/** The network namespace this process runs in. Throws NoProc where the kernel shows no process its own. */
export function ownNamespace(): FileStatus {
  try {
    return fileStatus(OWN)
  } catch (error) {
    if (failedWith(error, "ENOENT", "ENOTDIR"))
      throw new NoProc(`cannot open ${OWN}: there is no /proc`, { cause: error })
    throw error
  }
}

/** Nothing is mounted on /proc, without which namespaces and settings would all seem to be missing. */
export class NoProc extends Error {
  readonly advice = "mount proc on /proc: the plugins find namespaces there, and the kernel's settings"
}

/** What is said of a path that leads nowhere, or nowhere for this process: its own namespace is open to every process. */
const NOT_OWN = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EINVAL", "EACCES"] as const

/** Returns if `path` is the network namespace this process runs in. */
export function isOwnNamespace(path: string, own = ownNamespace()): boolean {
  try {
    return sameFile(fileStatus(path), own)
  } catch (error) {
    if (failedWith(error, ...NOT_OWN)) return false
    throw error
  }
}
