import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { sha512Hex } from "../../lib/sys/digest.ts"
import {
  fileStatus,
  listDirectory,
  makeDirectories,
  putSymlink,
  readSymlink,
  removeFile,
  setModified,
} from "../../lib/sys/file.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import type { Owner } from "./owner.ts"

/**
 * Who holds which addresses, so that finding an attachment's leases does not mean reading everybody's: a directory with one
 * symbolic link per owner, `3f2a...:eth0 -> 10.1.2.3 fd00::3`. The Go plugin does not know it and changes leases without
 * it. Any such change touches the lease directory's modification time, which is how the index knows that it is outdated:
 * it is current as long as both directories bear the same mark, a random time of the 1970s that no clock would give.
 */
export class LeaseIndex {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Whether nobody has changed the lease directory, or this index, since both were marked. */
  isCurrent(leaseDirectory: string): boolean {
    const mark = unlessUnusable(() => fileStatus(this.#path).modified)
    return mark !== undefined && isMark(mark) && mark === fileStatus(leaseDirectory).modified
  }

  /** To be called last of all: a process killed before it leaves an index that is not current. */
  mark(leaseDirectory: string): void {
    const mark = newMark()
    setModified(this.#path, mark)
    setModified(leaseDirectory, mark)
  }

  /** The owner's addresses; undefined where the entry makes no sense. */
  get(owner: Owner): Address[] | undefined {
    return unlessUnusable(() => readEntry(readSymlink(this.#pathOf(owner))))
  }

  put(owner: Owner, addresses: readonly Address[]): void {
    putSymlink(this.#pathOf(owner), entryOf(addresses))
  }

  remove(owner: Owner): void {
    removeFile(this.#pathOf(owner))
  }

  /**
   * Makes the index say this and nothing else, or comes nearer to that: answers whether it does. After tens of thousands
   * of changes behind its back it takes several calls to catch up, so that none of them takes long.
   */
  replace(leases: ReadonlyMap<Owner, readonly Address[]>): boolean {
    makeDirectories(this.#path, 0o700)
    const stale = new Set(listDirectory(this.#path))
    let changes = 0
    for (const [owner, addresses] of leases) {
      const name = entryName(owner)
      const known = stale.delete(name) && readSymlink(`${this.#path}/${name}`) === entryOf(addresses)
      if (!known && ++changes <= MAX_CHANGES) this.put(owner, addresses)
    }
    for (const name of stale) {
      if (++changes <= MAX_CHANGES) removeFile(`${this.#path}/${name}`)
    }
    return changes <= MAX_CHANGES
  }

  #pathOf(owner: Owner): string {
    return `${this.#path}/${entryName(owner)}`
  }
}

/** About a tenth of a second of work. */
const MAX_CHANGES = 4096

/** From April 1974 to July 1978: a clock that was never set is in 1970. */
const MARKS = 1 << 27

function newMark(): bigint {
  return BigInt(MARKS + Math.floor(Math.random() * MARKS))
}

function isMark(time: bigint): boolean {
  return BigInt(MARKS) <= time && time < BigInt(2 * MARKS)
}

function unlessUnusable<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}

/** Readable where it can be. Container ids have no length limit, file names do. */
function entryName(owner: Owner): string {
  const readable = /^[a-zA-Z0-9][\w.-]*(\r\n[^/:\s]{1,15})?$/.test(owner) && owner.length <= 200
  return readable ? owner.replace("\r\n", ":") : `#${sha512Hex(owner)}`
}

function entryOf(addresses: readonly Address[]): string {
  return addresses.map(formatAddress).sort().join(" ")
}

function readEntry(text: string | undefined): Address[] | undefined {
  const addresses = text === undefined ? [] : text.split(" ").map(parseAddress)
  return addresses.every((address) => address !== undefined) ? addresses : undefined
}
