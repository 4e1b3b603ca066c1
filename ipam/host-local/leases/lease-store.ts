import { type Address, formatAddress } from "../../../lib/ip/address.ts"
import { type Descriptor, makeDirectories, unlessMissing } from "../../../lib/sys/file.ts"
import { lockFile } from "../../../lib/sys/lock.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import type { LeasePlace } from "../config.ts"
import type { RangeSet } from "../range-set.ts"
import type { RecordedLease } from "./index-bucket.ts"
import { indexDirectory, leaseDirectory, lockPath, nearestExisting } from "./lease-directory.ts"
import { LeaseFiles } from "./lease-files.ts"
import type { LeaseHolder } from "./lease-holder.ts"
import { LeaseIndex } from "./lease-index.ts"
import { addressesNamed, type LeaseName } from "./lease-name.ts"
import type { LeasesByHolder } from "./leases-by-holder.ts"
import type { NetnsIdentity } from "./netns-identity.ts"
import { findReclaimable, type ReclaimableLeases } from "./reclaimable.ts"

/** A set with fewer free addresses runs low. */
const LOW_FREE_ADDRESSES = 16

/** Does a step, or notes that it failed. */
export type Attempt = (step: () => void) => void

/** Opens the network's leases, and locks them until they are closed. Makes the directory if it is missing. */
export function openLeases(place: LeasePlace): LeaseStore {
  const existing = openExistingLeases(place)
  if (existing) return existing
  const directory = leaseDirectory(place)
  nearestExisting(directory) // throws if making it would not help
  makeDirectories(directory, 0o755)
  return new LeaseStore(place, lockIn(directory))
}

/** Opens and locks the network's leases; undefined if there is no directory, and so no lease. */
export function openExistingLeases(place: LeasePlace): LeaseStore | undefined {
  const lock = unlessMissing(() => lockIn(leaseDirectory(place)))
  return lock && new LeaseStore(place, lock)
}

function lockIn(directory: string): Descriptor {
  return lockFile(lockPath(directory), 0o750)
}

/**
 * The leases of one network: the lease files, and the index that finds them by holder.
 *
 * Closing marks the index as current after changes. Until then it counts as outdated, so that the next process finds what a killed one
 * left half done.
 */
export class LeaseStore implements Disposable {
  readonly #files: LeaseFiles
  readonly #lock: Descriptor
  readonly #index: LeaseIndex
  /** Every lease, if the index cannot be written. */
  #leases: LeasesByHolder | undefined
  /** The holder that was asked for last, and its leases, as long as nothing was freed. */
  #known: { readonly holder: LeaseHolder; readonly names: readonly LeaseName[] } | undefined
  /** Taken and not yet kept. */
  #taken: LeaseName[] = []
  #isChanged = false
  /** False if the index may disagree with the lease files. */
  #isIndexed = true

  constructor(place: LeasePlace, lock: Descriptor) {
    this.#files = new LeaseFiles(leaseDirectory(place))
    this.#lock = lock
    this.#index = new LeaseIndex(indexDirectory(place))
    try {
      if (!this.#index.isCurrent(this.#files.directory)) this.#readAll()
    } catch (error) {
      lock[Symbol.dispose]()
      throw error
    }
  }

  /** Returns the addresses whose lease files name exactly this holder. */
  addressesOf(holder: LeaseHolder): readonly Address[] {
    return addressesNamed(this.#namesOf(holder))
  }

  #namesOf(holder: LeaseHolder): readonly LeaseName[] {
    if (this.#leases) return this.#leases.of(holder)
    if (this.#known?.holder === holder) return this.#known.names
    const indexed = this.#index.get(holder)
    const names = indexed && this.#isConfirmed(holder, indexed) ? indexed : this.#readAll().of(holder)
    this.#known = { holder, names }
    return names
  }

  #isConfirmed(holder: LeaseHolder, names: readonly LeaseName[]): boolean {
    return names.every((name) => this.#files.holderOf(name) === holder)
  }

  /** Returns the holder to which the address is leased, if any. */
  holderOf(address: Address): LeaseHolder | undefined {
    return this.#files.holderOf(formatAddress(address))
  }

  /** Returns true if the set has few free addresses. Knows it only after many addresses were found taken. */
  runsLow(set: RangeSet): boolean {
    const taken = this.#files.countTaken(set[0].first.family)
    if (taken === undefined) return false
    const size = set.reduce((sum, { first, last }) => sum + last.value - first.value + 1n, 0n)
    return size - taken < LOW_FREE_ADDRESSES
  }

  /** Leases the address; returns false if it is taken. Closing frees it again unless it was kept. */
  take(address: Address, holder: LeaseHolder): boolean {
    const name = formatAddress(address)
    this.#isChanged = true
    if (!this.#files.create(name, holder)) return false
    this.#taken.push(name)
    return true
  }

  /** Adds what was taken to what the holder had. Notes the holder's network namespace for `reclaim`. */
  keep(holder: LeaseHolder, identity: NetnsIdentity | undefined): void {
    const taken = this.#taken
    const first = taken[0]
    const lease = identity && first && this.#files.stampOf(first)
    const names = this.#namesOf(holder)
      .filter((held) => !taken.includes(held))
      .concat(taken)
    this.#taken = []
    this.#known = undefined
    this.#leases?.set(holder, names)
    this.#tryIndexing(() => this.#index.set(holder, names, lease ? { ...identity, lease } : undefined))
  }

  /** Returns the network namespace that one of the holder's leases was made for, if it is recorded and the lease is still the same. */
  identityOf(holder: LeaseHolder): NetnsIdentity | undefined {
    const isSame = ({ names, record }: RecordedLease) =>
      names.some((name) => this.#files.stampOf(name) === record.lease)
    return this.#index.recorded(holder).find(isSame)?.record
  }

  /** Frees the leases of network namespaces that are certainly gone, all or one holder's, and returns them. */
  reclaim(of?: LeaseHolder, attempt: Attempt = (step) => step()): ReclaimableLeases[] {
    const freed: ReclaimableLeases[] = []
    for (const leases of findReclaimable(this.#files, this.#index, of)) {
      attempt(() => {
        this.#remove(leases.names)
        freed.push(leases)
      })
    }
    for (const { holder, others } of freed) {
      if (others.length === 0) continue
      this.#leases?.set(holder, others)
      this.#tryIndexing(() => this.#index.set(holder, others))
    }
    this.#forget(freed.filter(({ others }) => others.length === 0).map(({ holder }) => holder))
    return freed
  }

  /** Frees what the holder has; returns false if that is nothing. */
  free(holder: LeaseHolder): boolean {
    const names = this.#namesOf(holder)
    this.#remove(names)
    if (names.length > 0) this.#forget([holder])
    return names.length > 0
  }

  /** Frees all leases of the holders that `select` accepts, each in an `attempt` of its own, and passes them to `tell`. */
  freeAll(
    select: (holder: LeaseHolder) => boolean,
    tell: (holder: LeaseHolder, names: readonly LeaseName[]) => void,
    attempt: Attempt,
  ): void {
    const gone: LeaseHolder[] = []
    for (const [holder, indexed] of this.#holders(select)) {
      const names = this.#isConfirmed(holder, indexed) ? indexed : this.#namesOf(holder)
      const freed: LeaseName[] = []
      for (const name of names) {
        attempt(() => {
          this.#remove([name])
          freed.push(name)
        })
      }
      if (freed.length > 0) tell(holder, freed)
      if (freed.length === names.length) gone.push(holder)
    }
    this.#forget(gone)
  }

  #holders(select: (holder: LeaseHolder) => boolean): ReadonlyMap<LeaseHolder, readonly LeaseName[]> {
    const indexed = this.#leases ? undefined : this.#index.holders(select)
    return indexed ?? (this.#leases ?? this.#readAll()).holders(select)
  }

  #remove(names: readonly LeaseName[]): void {
    for (const name of names) {
      this.#isChanged = true
      this.#known = undefined
      this.#files.remove(name)
    }
  }

  #forget(holders: readonly LeaseHolder[]): void {
    if (holders.length === 0) return
    this.#leases?.drop(holders)
    this.#tryIndexing(() => this.#index.drop(holders))
  }

  /** Returns the address leased last from the set, if it is known: the search for a free one begins behind it. */
  lastReserved(set: number): Address | undefined {
    return this.#files.lastReserved(set)
  }

  setLastReserved(set: number, address: Address): void {
    this.#isChanged = true
    this.#files.setLastReserved(set, address)
  }

  [Symbol.dispose](): void {
    try {
      for (const name of this.#taken) this.#files.remove(name)
      this.#files.removeScratch()
      if (this.#isChanged && this.#isIndexed) this.#index.mark(this.#files.directory)
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    } finally {
      this.#lock[Symbol.dispose]()
    }
  }

  /** Reads every lease, and brings the index up to date with what others changed. */
  #readAll(): LeasesByHolder {
    this.#isChanged = true
    this.#isIndexed = false // until all have been read
    const leases = this.#files.readAll()
    this.#isIndexed = true
    this.#tryIndexing(() => this.#index.replace(leases))
    if (!this.#isIndexed) this.#leases = leases
    return leases
  }

  /** Changes the index. If it cannot be written, no call fails: the next process reads all leases again. */
  #tryIndexing(change: () => void): void {
    if (!this.#isIndexed) return
    try {
      change()
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      this.#isIndexed = false
    }
  }
}
