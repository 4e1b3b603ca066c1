import { type Descriptor, fileStatus, openRead, sameFile } from "./file.ts"
import { call, libc } from "./libc.ts"

const CLONE_NEWNET = 0x40000000
const OWN = "/proc/self/ns/net"

/** A network namespace held open: it lives at least until this is closed. */
export class NetworkNamespace implements Disposable {
  readonly path: string
  readonly #file: Descriptor

  private constructor(path: string, file: Descriptor) {
    this.path = path
    this.#file = file
  }

  /** Throws SystemError: ENOENT when there is no such path, EINVAL when it is no network namespace. */
  static open(path: string): NetworkNamespace {
    const namespace = new NetworkNamespace(path, openRead(path))
    try {
      namespace.inside(() => undefined)
    } catch (error) {
      namespace[Symbol.dispose]()
      throw error
    }
    return namespace
  }

  get fd(): number {
    return this.#file.fd
  }

  /**
   * Runs `body` in this namespace and comes back whatever it does. Only what `body` opens and writes belongs there:
   * it must not wait, and must not start threads or processes, which would stay behind.
   */
  inside<Value>(body: () => Value): Value {
    using home = openRead(OWN)
    call(`enter network namespace ${this.path}`, () => libc.setns(this.#file.fd, CLONE_NEWNET))
    try {
      return body()
    } finally {
      call("return to the host's network namespace", () => libc.setns(home.fd, CLONE_NEWNET))
    }
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
  }
}

/** Whether `path` is the network namespace this process runs in. A path that cannot be examined is not. */
export function isOwnNamespace(path: string): boolean {
  try {
    return sameFile(fileStatus(path), fileStatus(OWN))
  } catch {
    return false
  }
}
