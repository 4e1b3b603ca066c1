import { randomBytes } from "../../../lib/sys/digest.ts"
import {
  listDirectory,
  makeDirectories,
  readNamedIfThere,
  removeFile,
  renameFile,
  setModified,
  writeNew,
} from "../../../lib/sys/file.ts"
import { type FileStatus, fileStatus, linkStatus, S_IFDIR } from "../../../lib/sys/file-status.ts"
import { SystemError } from "../../../lib/sys/system-error.ts"
import {
  bucketOf,
  emptyBucket,
  isWhole,
  printBucket,
  type RecordedLease,
  readHolders,
  readLine,
  readRecordedLeases,
  withLine,
  withoutHolders,
} from "./index-bucket.ts"
import type { LeaseHolder } from "./lease-holder.ts"
import type { LeaseName } from "./lease-name.ts"
import type { LeaseRecord } from "./lease-record.ts"
import type { LeasesByHolder } from "./leases-by-holder.ts"

const SCRATCH = "scratch"
const MAX_BUCKET_BYTES = 64 << 20

/**
 * The leases by holder, so that finding an attachment's leases does not mean reading all lease files: 256 buckets, each a file in a
 * directory of our own. The Go plugin changes leases without it, but not without changing the modification time of the lease directory.
 * So the index is current as long as both directories bear the same mark: a random time in the 1970s, which no clock gives.
 *
 * It also records the network namespace of each attachment, which no lease file names. Records stay valid when others change leases:
 * each names the lease file that it was made for.
 *
 * Nothing here is synced: a bucket that a power cut damaged is not whole.
 */
export class LeaseIndex {
  readonly #path: string
  /** The bucket read last: one attachment needs no other. */
  #read: { readonly bucket: string; readonly text: string } | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** Returns true if nobody changed either directory since both were marked. */
  isCurrent(leaseDirectory: string): boolean {
    const mark = unlessUnusable(() => this.#own(this.#path).modified)
    return mark !== undefined && isMark(mark) && mark === fileStatus(leaseDirectory).modified
  }

  /** Marks both directories. Comes last: a process killed before it leaves an index that is not current. */
  mark(leaseDirectory: string): void {
    const mark = newMark()
    setModified(this.#path, mark)
    setModified(leaseDirectory, mark)
  }

  /** Returns the names of the holder's leases; undefined if the index is damaged or cannot be read. */
  get(holder: LeaseHolder): LeaseName[] | undefined {
    const text = unlessUnusable(() => this.#text(bucketOf(holder)))
    if (text === emptyBucket) return []
    return text !== undefined && isWhole(text) ? readLine(text, holder) : undefined
  }

  /** Returns the holders that `select` accepts, with the names of their leases; undefined if the index is damaged or cannot be read. */
  holders(select: (holder: LeaseHolder) => boolean): Map<LeaseHolder, LeaseName[]> | undefined {
    return unlessUnusable(() => this.#holders(select))
  }

  #holders(select: (holder: LeaseHolder) => boolean): Map<LeaseHolder, LeaseName[]> | undefined {
    const found = new Map<LeaseHolder, LeaseName[]>()
    for (const bucket of listDirectory(this.#path).filter(isBucket)) {
      const text = this.#text(bucket)
      if (!isWhole(text)) return undefined
      for (const [holder, names] of readHolders(text, select)) found.set(holder, names)
    }
    return found
  }

  /** Returns the recorded leases, all or one holder's, whose record `select` accepts. Others may have freed them since. */
  recorded(holder?: LeaseHolder, select: (record: LeaseRecord) => boolean = () => true): RecordedLease[] {
    const read = () => this.#recordedIn(holder === undefined ? listDirectory(this.#path) : [bucketOf(holder)], select)
    const recorded = unlessUnusable(read) ?? []
    return holder === undefined ? recorded : recorded.filter((other) => other.holder === holder)
  }

  #recordedIn(buckets: readonly string[], select: (record: LeaseRecord) => boolean): RecordedLease[] {
    return buckets.filter(isBucket).flatMap((bucket) => readRecordedLeases(this.#text(bucket), select))
  }

  /** Makes these the holder's only leases, with their record if there is one. */
  set(holder: LeaseHolder, names: readonly LeaseName[], record?: LeaseRecord): void {
    const bucket = bucketOf(holder)
    this.#write(bucket, withLine(this.#text(bucket), holder, names, record))
  }

  /** Removes the holders; writes each bucket once. */
  drop(holders: readonly LeaseHolder[]): void {
    const gone = new Set(holders)
    for (const bucket of new Set(holders.map(bucketOf))) {
      this.#write(
        bucket,
        withoutHolders(this.#text(bucket), (holder) => gone.has(holder)),
      )
    }
  }

  /** Makes these all leases of the index. Keeps the records of their holders. */
  replace(leases: LeasesByHolder): void {
    makeDirectories(this.#path, 0o700)
    this.#own(this.#path.slice(0, this.#path.lastIndexOf("/")))
    this.#own(this.#path)
    for (const name of listDirectory(this.#path)) {
      if (isBucket(name) && !leases.buckets.has(name)) removeFile(`${this.#path}/${name}`)
    }
    for (const bucket of leases.buckets) {
      const before = unlessUnusable(() => this.#text(bucket)) ?? ""
      const text = printBucket(leases.in(bucket), before)
      if (before !== text) this.#write(bucket, text)
    }
  }

  /** Returns the directory's status. Throws if it is none: what a symbolic link leads to is not ours to change. */
  #own(directory: string): FileStatus {
    const status = linkStatus(directory)
    if (status.type !== S_IFDIR) throw new SystemError("ENOTDIR", `use ${directory}`)
    return status
  }

  #text(bucket: string): string {
    if (this.#read?.bucket !== bucket) {
      const text = readNamedIfThere(`${this.#path}/${bucket}`, MAX_BUCKET_BYTES) ?? emptyBucket
      this.#read = { bucket, text }
    }
    return this.#read.text
  }

  #write(bucket: string, text: string): void {
    const path = `${this.#path}/${bucket}`
    const isNew = this.#read?.bucket === bucket && this.#read.text === emptyBucket
    this.#read = undefined
    if (text === emptyBucket) {
      removeFile(path)
    } else {
      const scratch = `${this.#path}/${SCRATCH}`
      writeNew(scratch, text, { synced: false })
      if (!isNew) removeFile(path) // ext4 takes half a millisecond to rename over a file
      renameFile(scratch, path)
    }
    this.#read = { bucket, text }
  }
}

function isBucket(name: string): boolean {
  return /^[0-9a-f]{2}$/.test(name)
}

/** Seconds since the epoch: marks are from here, April 1974, to July 1978. A clock that was never set is in 1970. */
const FIRST_MARK_SECONDS = 1 << 27

function newMark(): bigint {
  const random = new Uint32Array(randomBytes(4).buffer)[0] ?? 0
  return BigInt(FIRST_MARK_SECONDS + (random % FIRST_MARK_SECONDS))
}

function isMark(time: bigint): boolean {
  return BigInt(FIRST_MARK_SECONDS) <= time && time < BigInt(2 * FIRST_MARK_SECONDS)
}

function unlessUnusable<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
