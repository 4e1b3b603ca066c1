import { type Address, formatAddress, parseAddress } from "../../../lib/ip/address.ts"
import {
  type Descriptor,
  linkFile,
  listDirectory,
  makeDirectories,
  overwriteRegular,
  readRegular,
  removeFile,
  renameFile,
  unlessMissing,
  writeNew,
} from "../../../lib/sys/file.ts"
import { fileStatus, S_IFREG } from "../../../lib/sys/file-status.ts"
import { lockFile } from "../../../lib/sys/lock.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import type { LeasePlace } from "../config.ts"
import type { RangeSet } from "../range-set.ts"
import { leaseDirectory, lockPath, nearestExisting } from "./lease-directory.ts"
import { type Owner, readOwner } from "./lease-holder.ts"
import { LeaseIndex } from "./lease-index.ts"
import { addressesNamed, isLeaseName, type LeaseName } from "./lease-name.ts"
import type { Residence } from "./lease-record.ts"
import { Leases } from "./leases-by-holder.ts"
import { stampOf } from "./netns-identity.ts"
import { type Dead, findDead } from "./reclaim.ts"

/** Never an address; a leftover is removed before it is used again. Below the lock there is one process at a time. */
const SCRATCH = ".lease.tmp"

/** Far above any container id that fits into an environment variable. */
const MAX_LEASE_BYTES = 1 << 20

/** How many taken addresses are tried one by one before the directory is listed. */
const PATIENCE = 16

/** Does a step, or notes that it failed. */
export type Attempt = (step: () => void) => void

/** The network's leases, locked until closed. The directory is made if it is missing. */
export function openLeases(place: LeasePlace): LeaseStore {
  const existing = openExistingLeases(place)
  if (existing) return existing
  const directory = leaseDirectory(place)
  nearestExisting(directory) // throws where making it would not help
  makeDirectories(directory, 0o755)
  return new LeaseStore(place, lockIn(directory))
}

/** As openLeases, but undefined where there is no directory, and so no lease. */
export function openExistingLeases(place: LeasePlace): LeaseStore | undefined {
  const lock = unlessMissing(() => lockIn(leaseDirectory(place)))
  return lock && new LeaseStore(place, lock)
}

function lockIn(directory: string): Descriptor {
  return lockFile(lockPath(directory), 0o750)
}

/**
 * The leases of one network, in the files of the Go plugin: one file per address, its name the address, its content the
 * owner. A lease file comes into being complete and on the disk, under the name that makes it a lease (EEXIST: taken).
 * The directory itself is not synced: after a power cut the pods are gone too, and so may be their leases.
 *
 * Every change ends with closing, which marks the index as current again; until then it counts as outdated, so that what
 * a killed process left half done is found by the next one.
 */
export class LeaseStore implements Disposable {
  readonly #directory: string
  readonly #lock: Descriptor
  readonly #index: LeaseIndex
  /** Every lease, if the index cannot say it. */
  #leases: Leases | undefined
  /** Every name in the directory, if they had to be listed. */
  #names: Set<string> | undefined
  #refusals = 0
  /** What the scratch file holds, while there is one. */
  #scratch: string | undefined
  /** Taken and not yet kept. */
  #taken: LeaseName[] = []
  #touched = false
  /** Whether the index agrees with the lease files. */
  #indexed = true

  constructor(place: LeasePlace, lock: Descriptor) {
    this.#directory = leaseDirectory(place)
    this.#lock = lock
    this.#index = new LeaseIndex(`${place.dataDir}/.cni-ts/${place.network}`)
    try {
      if (!this.#index.isCurrent(this.#directory)) this.#readAll()
    } catch (error) {
      lock[Symbol.dispose]()
      throw error
    }
  }

  /** The addresses whose lease files name exactly this owner. */
  addressesOf(owner: Owner): readonly Address[] {
    return addressesNamed(this.#namesOf(owner))
  }

  #namesOf(owner: Owner): readonly LeaseName[] {
    if (this.#leases) return this.#leases.of(owner)
    const names = this.#index.get(owner)
    if (names?.every((name) => this.#ownerOf(name) === owner)) return names
    return this.#readAll().of(owner)
  }

  /** Whom the address is leased to. */
  holderOf(address: Address): Owner | undefined {
    return this.#ownerOf(formatAddress(address))
  }

  /** Whether the set was found to have few free addresses left. Not known before many have been found taken. */
  runsLow(set: RangeSet): boolean {
    if (!this.#names) return false
    const mark = set[0].first.family === 4 ? "." : ":"
    let used = 0n
    for (const name of this.#names) if (name.includes(mark)) used++
    const size = set.reduce((sum, { first, last }) => sum + last.value - first.value + 1n, 0n)
    return size - used < PATIENCE
  }

  /** Leases the address, or answers false when it is taken. It is given back on closing unless kept. */
  take(address: Address, owner: Owner): boolean {
    const name = formatAddress(address)
    if (this.#names?.has(name)) return false
    this.#touched = true
    this.#writeScratch(owner) // one file for all leases of an ADD, under several names: synced once
    if (linkFile(this.#path(SCRATCH), this.#path(name))) {
      this.#taken.push(name)
      return true
    }
    if (++this.#refusals > PATIENCE) this.#names ??= new Set(listDirectory(this.#directory))
    return false
  }

  /** Makes what was taken the owner's, beside what it had. Where the owner lives is noted for `reclaim`. */
  keep(owner: Owner, residence: Residence | undefined): void {
    const taken = this.#taken
    const [first] = taken
    const lease = residence && first && stampOf(this.#path(first))
    const names = [...this.#namesOf(owner).filter((held) => !taken.includes(held)), ...taken]
    this.#taken = []
    this.#leases?.set(owner, names)
    this.#tryIndexing(() => this.#index.set(owner, names, lease ? { ...residence, lease } : undefined))
  }

  /** Frees the leases, all or one owner's, whose owners lived in network namespaces that are certainly gone, and answers them. */
  reclaim(of?: Owner, attempt: Attempt = (step) => step()): Dead[] {
    const freed: Dead[] = []
    for (const dead of findDead(this.#directory, this.#index, of)) {
      attempt(() => {
        this.#remove(dead.names)
        freed.push(dead)
      })
    }
    for (const { owner, left } of freed) {
      if (left.length === 0) continue
      this.#leases?.set(owner, left)
      this.#tryIndexing(() => this.#index.set(owner, left))
    }
    this.#forget(freed.filter(({ left }) => left.length === 0).map(({ owner }) => owner))
    return freed
  }

  /** Frees everything the owner holds; false if that is nothing. */
  free(owner: Owner): boolean {
    const names = this.#namesOf(owner)
    this.#remove(names)
    if (names.length > 0) this.#forget([owner])
    return names.length > 0
  }

  /**
   * Frees everything that owners hold whom `select` accepts, each lease in an `attempt` of its own, and tells of what was freed.
   */
  freeAll(
    select: (owner: Owner) => boolean,
    tell: (owner: Owner, names: readonly LeaseName[]) => void,
    attempt: Attempt,
  ): void {
    const gone: Owner[] = []
    for (const [owner, indexed] of this.#ownersOf(select)) {
      const names = indexed.every((name) => this.#ownerOf(name) === owner) ? indexed : this.#namesOf(owner)
      const freed: LeaseName[] = []
      for (const name of names) {
        attempt(() => {
          this.#remove([name])
          freed.push(name)
        })
      }
      if (freed.length > 0) tell(owner, freed)
      if (freed.length === names.length) gone.push(owner)
    }
    this.#forget(gone)
  }

  #ownersOf(select: (owner: Owner) => boolean): ReadonlyMap<Owner, readonly LeaseName[]> {
    const indexed = this.#leases ? undefined : this.#index.owners(select)
    return indexed ?? (this.#leases ?? this.#readAll()).owners(select)
  }

  #remove(names: readonly LeaseName[]): void {
    for (const name of names) {
      this.#touched = true
      removeFile(this.#path(name))
      this.#names?.delete(name)
    }
  }

  /** They hold nothing any more. */
  #forget(owners: readonly Owner[]): void {
    if (owners.length === 0) return
    this.#leases?.drop(owners)
    this.#tryIndexing(() => this.#index.drop(owners))
  }

  /** The address leased last from the set, a hint where to look next; undefined if none or none that makes sense. */
  lastReserved(set: number): Address | undefined {
    return readLastReserved(this.#directory, set)
  }

  /**
   * Written in place and not synced: a hint that is old, or that a power cut garbled, does no harm. The first is synced, so that none
   * is ever empty.
   */
  setLastReserved(set: number, address: Address): void {
    this.#touched = true
    const path = this.#path(lastReservedName(set))
    const text = formatAddress(address)
    if (overwriteRegular(path, text)) return
    this.#writeScratch(text)
    renameFile(this.#path(SCRATCH), path)
    this.#scratch = undefined
  }

  [Symbol.dispose](): void {
    try {
      for (const name of this.#taken) removeFile(this.#path(name))
      this.#removeScratch()
      if (this.#touched && this.#indexed) this.#index.mark(this.#directory)
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    } finally {
      this.#lock[Symbol.dispose]()
    }
  }

  /**
   * Reads every lease, and brings the index up to date with what others did. Only files that bear an address are looked at.
   * One that a crash left empty is removed. One that says anything else is somebody's reservation.
   */
  #readAll(): Leases {
    this.#touched = true
    this.#indexed = false // until all have been read
    const leases = this.#readLeases()
    this.#indexed = true
    this.#tryIndexing(() => this.#index.replace(leases))
    if (!this.#indexed) this.#leases = leases
    return leases
  }

  #readLeases(): Leases {
    const leases = new Leases()
    for (const name of listDirectory(this.#directory)) {
      if (name === SCRATCH && this.#scratch === undefined) this.#tryRemoving(name)
      const content = isLeaseName(name) ? readRegular(this.#path(name), MAX_LEASE_BYTES) : undefined
      if (content === undefined) continue
      const owner = readOwner(content)
      if (owner) leases.add(owner, name)
      else if (this.#isRegular(name)) this.#tryRemoving(name)
    }
    return leases
  }

  #ownerOf(name: string): Owner | undefined {
    return readOwner(readRegular(this.#path(name), MAX_LEASE_BYTES) ?? "")
  }

  #isRegular(name: string): boolean {
    return fileStatus(this.#path(name)).type === S_IFREG
  }

  /** Leases matter, their index does not: where it cannot be written, the next process reads them all again. */
  #tryIndexing(action: () => void): void {
    if (!this.#indexed) return
    try {
      action()
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      this.#indexed = false
    }
  }

  /** A full or read-only disk must not keep anybody from reading the leases. */
  #tryRemoving(name: string): void {
    try {
      removeFile(this.#path(name))
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    }
  }

  #writeScratch(text: string): void {
    if (this.#scratch === text) return
    this.#removeScratch()
    writeNew(this.#path(SCRATCH), text, { synced: true })
    this.#scratch = text
  }

  #removeScratch(): void {
    if (this.#scratch !== undefined) removeFile(this.#path(SCRATCH))
    this.#scratch = undefined
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`
  }
}

function readLastReserved(directory: string, set: number): Address | undefined {
  const text = readRegular(`${directory}/${lastReservedName(set)}`, MAX_LEASE_BYTES)
  return text === undefined ? undefined : parseAddress(text)
}

function lastReservedName(set: number): string {
  return `last_reserved_ip.${set}`
}
