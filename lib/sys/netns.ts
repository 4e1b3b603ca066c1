import { Descriptor, openRead, readLink } from "./file.ts"
import { host } from "./host.ts"
import { lock } from "./lock.ts"
import { NETLINK_ROUTE } from "./netlink-socket.ts"
import { checked, failedWith, SystemError } from "./system-error.ts"

const SOL_SOCKET = 1
const SO_NETNS_COOKIE = 71

/** The namespace that was opened last, as long as it is open: a pod's, while a plugin is at work in it. */
let opened: NetworkNamespace | undefined

/** An open network namespace, which exists at least until this is closed. */
export class NetworkNamespace implements Disposable {
  readonly path: string
  readonly #file: Descriptor
  readonly #home: Descriptor

  /** Throws SystemError, ENOENT if there is no such path. Only inside() and cookie() find out if it is a network namespace. */
  constructor(path: string) {
    this.path = path
    this.#file = openRead(path)
    this.#home = new Descriptor(checked("open the host's network namespace", host.openOwnNetwork()))
    opened = this
  }

  get fd(): number {
    return this.#file.fd
  }

  /** The namespace of this process, where inside() returns to. */
  get homeFd(): number {
    return this.#home.fd
  }

  /**
   * Locks the namespace until it is closed or the process ends, for this process alone. The kernel's lock is on the namespace itself,
   * whatever path leads there. Throws TimedOut.
   */
  lock(): void {
    lock(this.#file.fd, this.path)
  }

  /**
   * Runs `body` in this namespace, and returns from it even if `body` throws. `body` may open and write things there; it must not wait, or
   * start threads or processes, which would stay there. Throws SystemError EINVAL if the path is no network namespace.
   */
  inside<Value>(body: () => Value): Value {
    checked("enter network namespace", host.enterNetwork(this.#file.fd), this.path)
    try {
      return body()
    } finally {
      checked("return to the host's network namespace", host.enterNetwork(this.#home.fd))
    }
  }

  /**
   * Returns the namespace's cookie, which no other namespace of this boot has (SO_NETNS_COOKIE, Linux 5.14); undefined if the kernel has
   * none, or if this process may not enter the namespace. Throws SystemError if the process cannot leave it again.
   */
  cookie(): bigint | undefined {
    if (host.enterNetwork(this.#file.fd) < 0) return undefined
    const socket = host.netlink(NETLINK_ROUTE, 0)
    checked("return to the host's network namespace", host.enterNetwork(this.#home.fd))
    if (socket < 0) return undefined
    using file = new Descriptor(socket)
    const value = new BigUint64Array(1)
    const length = host.getOption(file.fd, SOL_SOCKET, SO_NETNS_COOKIE, new Uint8Array(value.buffer))
    return length === value.byteLength ? value[0] : undefined
  }

  [Symbol.dispose](): void {
    if (opened === this) opened = undefined
    this.#file[Symbol.dispose]()
    this.#home[Symbol.dispose]()
  }
}

/** Returns the cookie of the namespace at `path`, which may be open already; undefined also if that cannot be opened. */
export function cookieOf(path: string): bigint | undefined {
  if (opened?.path === path) return opened.cookie()
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

/** Throws NoProc if /proc is not mounted. */
export function requireProc(): void {
  try {
    readLink("/proc/self")
  } catch (error) {
    if (!failedWith(error, "ENOENT", "ENOTDIR")) throw error
    throw new NoProc("cannot read /proc/self: there is no /proc", { cause: error })
  }
}

/** Reports that /proc is not mounted: all namespaces and sysctls would seem to be missing. */
export class NoProc extends Error {
  readonly advice = "mount proc on /proc: the plugins find namespaces there, and the kernel's settings"
}

/** The errors for a path that leads nowhere, or not for this process, which can always open its own namespace. */
const NOT_OWN = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EINVAL", "EACCES"] as const

/** Returns true if `path` is the network namespace of this process. */
export function isOwnNamespace(path: string): boolean {
  try {
    return checked("examine", host.isOwnNetwork(path), path) === 1
  } catch (error) {
    if (failedWith(error, ...NOT_OWN)) return false
    throw error
  }
}
