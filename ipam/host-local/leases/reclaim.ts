import { mountNamespace, readBootId } from "../../../lib/sys/boot.ts"
import { readRegular, unlessMissing } from "../../../lib/sys/file.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import { isLocal } from "../../../lib/sys/file-system.ts"
import { readLiveNamespaces } from "../../../lib/sys/live-namespaces.ts"
import { cookieOf } from "../../../lib/sys/netns.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import { type Owner, readOwner } from "./lease-holder.ts"
import type { LeaseIndex } from "./lease-index.ts"
import type { LeaseName } from "./lease-name.ts"
import type { Residence } from "./lease-record.ts"
import { stampOf } from "./netns-identity.ts"

/** Leases whose owner's network namespace is certainly gone, and how that is known. */
export interface Dead {
  readonly owner: Owner
  readonly names: readonly LeaseName[]
  /** What else the owner holds: leases made anew by others, of which nothing is known. */
  readonly left: readonly LeaseName[]
  readonly reason: string
}

const MAX_OWNER_BYTES = 1 << 20

/**
 * The leases, all or those of one owner, whose owners lived in network namespaces that are certainly gone: those of an earlier boot,
 * and those that nobody is in and that are mounted nowhere any more, seen from the mount namespace in which they once were. In any
 * doubt a lease stays: one without a noted namespace, as the Go plugin makes them, one made anew since, one in a directory that other
 * machines may share.
 */
export function findDead(directory: string, index: LeaseIndex, of?: Owner): Dead[] {
  const dead: Dead[] = []
  const world = new World()
  const isGone = (tenancy: Residence) => world.whyGone(tenancy) !== undefined
  for (const { owner, names, tenancy } of isOnLocalDisk(directory) ? index.housed(of, isGone) : []) {
    const owned = names.filter((name) => isLease(`${directory}/${name}`, owner, tenancy.lease))
    const left = names.filter((name) => !owned.includes(name))
    const reason = world.whyGone(tenancy)
    if (owned.length > 0 && reason) dead.push({ owner, names: owned, left, reason })
  }
  return dead
}

/** Returns if the lease file is certainly still the one that the index speaks of. */
function isLease(path: string, owner: Owner, stamp: string): boolean {
  if (stampOf(path) !== stamp) return false
  return unlessUnsure(() => readOwner(readRegular(path, MAX_OWNER_BYTES) ?? "")) === owner
}

function isOnLocalDisk(directory: string): boolean {
  return unlessUnsure(() => isLocal(directory)) ?? false
}

/** What this process can see of the machine. Each part is looked at once, when it is first asked for. */
class World {
  #boot: string | undefined
  #mounts: string | undefined
  readonly #visible = new Map<string, boolean>()
  readonly #cookies = new Map<string, bigint | undefined>()
  #live: { readonly paths: ReadonlyMap<string, string | undefined> | undefined } | undefined

  /** Returns how it is known that nothing lives there any more; undefined if that is not certain. */
  whyGone(residence: Residence): string | undefined {
    const path = JSON.stringify(residence.path)
    const isOfThisBoot = unlessUnsure(() => {
      this.#boot ??= readBootId()
      return residence.boot === this.#boot
    })
    if (isOfThisBoot === false) return `its network namespace ${path} was of an earlier boot`
    const isKnown = isOfThisBoot && unlessUnsure(() => this.#isComparable(residence))
    return isKnown && this.#isGone(residence) ? `its network namespace ${path} is gone` : undefined
  }

  #isComparable({ namespace, mounts, path }: Residence): boolean {
    this.#mounts ??= `${mountNamespace().inode}`
    return namespace !== "-" && mounts === this.#mounts && this.#isPlaceVisible(path)
  }

  /** A living namespace of that inode is another one only if its cookie is. */
  #isGone({ namespace }: Residence): boolean {
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

  /** Whether the directory that the namespace was mounted in is there: in a changed root it may not be. */
  #isPlaceVisible(path: string): boolean {
    const directory = path.slice(0, path.lastIndexOf("/") + 1)
    const known = this.#visible.get(directory)
    if (known !== undefined) return known
    const visible = unlessMissing(() => fileStatus(directory)) !== undefined
    this.#visible.set(directory, visible)
    return visible
  }
}

/** What cannot be examined says nothing. */
function unlessUnsure<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
