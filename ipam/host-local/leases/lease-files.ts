import { type Address, type Family, formatAddress, parseAddress } from "../../../lib/ip/address.ts"
import {
  linkFile,
  listDirectory,
  overwriteRegular,
  readRegular,
  removeFile,
  renameFile,
  writeNew,
} from "../../../lib/sys/file.ts"
import { fileStatus, S_IFREG } from "../../../lib/sys/file-status.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import { type LeaseHolder, readHolder } from "./lease-holder.ts"
import { isLeaseName, type LeaseName } from "./lease-name.ts"
import { LeasesByHolder } from "./leases-by-holder.ts"

/** Never an address. A leftover of a killed process is removed before it is written again. */
const SCRATCH = ".lease.tmp"

/** Far above any container id that fits into an environment variable. */
const MAX_LEASE_BYTES = 1 << 20

/** After so many taken addresses the directory is listed, instead of trying the next one. */
const PROBES_BEFORE_LISTING = 16

/**
 * The lease files of one network, as the Go plugin has them: one per address, its name the address, its content the holder. Each
 * appears complete and synced under the name that makes it a lease (EEXIST: the address is taken). The directory is not synced: after a
 * power cut the pods are gone too, and so may be their leases.
 *
 * The caller holds the network's lock.
 */
export class LeaseFiles {
  readonly directory: string
  /** The content of the scratch file, if there is one. */
  #scratch: string | undefined
  /** Every name in the directory, if it was listed. */
  #names: Set<string> | undefined
  #probes = 0

  constructor(directory: string) {
    this.directory = directory
  }

  /** Leases the address to the holder; returns false if it is taken. */
  create(name: LeaseName, holder: LeaseHolder): boolean {
    if (this.#names?.has(name)) return false
    this.#writeScratch(holder) // all leases of one ADD are one file with several names: it is synced once
    if (linkFile(this.#path(SCRATCH), this.#path(name))) return true
    if (++this.#probes > PROBES_BEFORE_LISTING) this.#names ??= new Set(listDirectory(this.directory))
    return false
  }

  remove(name: LeaseName): void {
    removeFile(this.#path(name))
    this.#names?.delete(name)
  }

  /** Returns the holder that the lease file names; undefined if there is none or it names none. */
  holderOf(name: LeaseName): LeaseHolder | undefined {
    return readHolder(readRegular(this.#path(name), MAX_LEASE_BYTES) ?? "")
  }

  /** Returns what tells the lease file from any other of its name; undefined if it cannot be examined. */
  stampOf(name: LeaseName): string | undefined {
    try {
      const { inode, modified, nanoseconds } = fileStatus(this.#path(name))
      return `${inode}.${modified}.${nanoseconds}`
    } catch (error) {
      if (error instanceof SystemError) return undefined
      throw error
    }
  }

  /** Counts the addresses of a family that are taken; undefined if the directory was not listed, since few were found taken. */
  countTaken(family: Family): bigint | undefined {
    if (!this.#names) return undefined
    const separator = family === 4 ? "." : ":"
    let taken = 0n
    for (const name of this.#names) if (name.includes(separator)) taken++
    return taken
  }

  /** Reads every lease. Removes files that a crash left empty; a file that names an address and says anything else reserves it. */
  readAll(): LeasesByHolder {
    const leases = new LeasesByHolder()
    for (const name of listDirectory(this.directory)) {
      if (name === SCRATCH && this.#scratch === undefined) this.#tryRemoving(name)
      const content = isLeaseName(name) ? readRegular(this.#path(name), MAX_LEASE_BYTES) : undefined
      if (content === undefined) continue
      const holder = readHolder(content)
      if (holder) leases.add(holder, name)
      else if (fileStatus(this.#path(name)).type === S_IFREG) this.#tryRemoving(name)
    }
    return leases
  }

  /** Reads the address leased last from the set, which is a hint; undefined if there is none or it makes no sense. */
  lastReserved(set: number): Address | undefined {
    const text = readRegular(this.#path(lastReservedName(set)), MAX_LEASE_BYTES)
    return text === undefined ? undefined : parseAddress(text)
  }

  /** Notes the hint. It is overwritten in place and not synced: an old, empty or garbled one does no harm, with the Go plugin neither. */
  setLastReserved(set: number, address: Address): void {
    const path = this.#path(lastReservedName(set))
    const text = formatAddress(address)
    if (overwriteRegular(path, text)) return
    this.removeScratch()
    writeNew(this.#path(SCRATCH), text, { synced: false })
    renameFile(this.#path(SCRATCH), path)
  }

  #writeScratch(text: string): void {
    if (this.#scratch === text) return
    this.removeScratch()
    writeNew(this.#path(SCRATCH), text, { synced: true })
    this.#scratch = text
  }

  removeScratch(): void {
    if (this.#scratch !== undefined) removeFile(this.#path(SCRATCH))
    this.#scratch = undefined
  }

  /** Removes a file, or leaves it: leases can be read on a full or read-only disk, too. */
  #tryRemoving(name: string): void {
    try {
      removeFile(this.#path(name))
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    }
  }

  #path(name: string): string {
    return `${this.directory}/${name}`
  }
}

function lastReservedName(set: number): string {
  return `last_reserved_ip.${set}`
}
