import { mountNamespace, readBootId } from "../../../lib/sys/boot.ts"
import { unlessMissing } from "../../../lib/sys/file.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import { readLiveNamespaces } from "../../../lib/sys/live-namespaces.ts"
import { cookieOf } from "../../../lib/sys/netns.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import type { NetnsIdentity } from "./netns-identity.ts"

/** Tells which network namespaces are certainly gone. Each part of the proof is read once, when it is first needed. */
export class NetnsWitness {
  #boot: string | undefined
  #mounts: string | undefined
  readonly #visible = new Map<string, boolean>()
  readonly #cookies = new Map<string, bigint | undefined>()
  #live: { readonly paths: ReadonlyMap<string, string | undefined> | undefined } | undefined

  /** Returns how it is known that the network namespace is gone; undefined if that is not certain. */
  goneReason(identity: NetnsIdentity): string | undefined {
    const path = JSON.stringify(identity.path)
    const isOfThisBoot = unlessUnsure(() => {
      this.#boot ??= readBootId()
      return identity.boot === this.#boot
    })
    if (isOfThisBoot === false) return `its network namespace ${path} was of an earlier boot`
    const isKnown = isOfThisBoot && unlessUnsure(() => this.#isComparable(identity))
    return isKnown && this.#isGone(identity) ? `its network namespace ${path} is gone` : undefined
  }

  #isComparable({ namespace, mounts, path }: NetnsIdentity): boolean {
    this.#mounts ??= `${mountNamespace().inode}`
    return namespace !== "-" && mounts === this.#mounts && this.#isDirectoryVisible(path)
  }

  /** A live namespace with the same inode is another one if its cookie differs. */
  #isGone({ namespace }: NetnsIdentity): boolean {
    this.#live ??= { paths: unlessUnsure(readLiveNamespaces) }
    const { paths } = this.#live
    const [inode = "", cookie] = namespace.split(/[@#]/)
    if (!paths) return false
    if (!paths.has(inode)) return true
    const living = namespace.includes("#") ? this.#cookieOf(paths.get(inode)) : undefined
    return living !== undefined && `${living}` !== cookie
  }

  #cookieOf(path: string | undefined): bigint | undefined {
    if (path === undefined) return undefined
    if (!this.#cookies.has(path)) this.#cookies.set(path, cookieOf(path))
    return this.#cookies.get(path)
  }

  /** Returns true if the directory that the namespace was mounted in exists: in a changed root it may not. */
  #isDirectoryVisible(path: string): boolean {
    const directory = path.slice(0, path.lastIndexOf("/") + 1)
    const known = this.#visible.get(directory)
    if (known !== undefined) return known
    const visible = unlessMissing(() => fileStatus(directory)) !== undefined
    this.#visible.set(directory, visible)
    return visible
  }
}

/** Returns what `action` returns; undefined if something cannot be examined, which proves nothing. */
export function unlessUnsure<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
