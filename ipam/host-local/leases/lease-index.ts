import { randomBytes } from "../../../lib/sys/digest.ts"
import {
  listDirectory,
  makeDirectories,
  readNamed,
  removeFile,
  renameFile,
  setModified,
  unlessMissing,
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
 * Who holds which addresses, so that finding an attachment's leases does not mean reading everybody's: files in a directory
 * that the Go plugin does not know, one for each of 256 parts of all holders. It changes leases without them. Any such
 * change touches the lease directory's modification time, which is how the index knows that it is outdated: it is
 * current as long as both directories bear the same mark, a random time of the 1970s that no clock would give.
 *
 * It also knows the network namespace that each attachment was in, which no lease file says. That survives the changes of others:
 * a record names the very lease file it was noted for.
 *
 * Nothing here is synced: data that a power cut lost shows as a part that is not whole.
 */
export class LeaseIndex {
  readonly #path: string
  /** The part read last, which is the only one an attachment needs. */
  #read: { readonly bucket: string; readonly text: string } | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** Whether nobody has changed the lease directory, or this one, since both were marked. */
  isCurrent(leaseDirectory: string): boolean {
    const mark = unlessUnusable(() => this.#own(this.#path).modified)
    return mark !== undefined && isMark(mark) && mark === fileStatus(leaseDirectory).modified
  }

  /** To be called last of all: a process killed before it leaves an index that is not current. */
  mark(leaseDirectory: string): void {
    const mark = newMark()
    setModified(this.#path, mark)
    setModified(leaseDirectory, mark)
  }

  /** The names of the holder's leases; undefined if the index is damaged or cannot be read. */
  get(holder: LeaseHolder): LeaseName[] | undefined {
    const text = unlessUnusable(() => this.#text(bucketOf(holder)))
    return text !== undefined && isWhole(text) ? readLine(text, holder) : undefined
  }

  /** The holders that `select` accepts, with the names of their leases; undefined if the index is damaged or cannot be read. */
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

  /**
   * Every holder whose network namespace was noted, or that one alone, if `select` accepts what was noted, whether it still has the leases or
   * not.
   */
  recorded(holder?: LeaseHolder, select: (record: LeaseRecord) => boolean = () => true): RecordedLease[] {
    const read = () => this.#recordedIn(holder === undefined ? listDirectory(this.#path) : [bucketOf(holder)], select)
    const recorded = unlessUnusable(read) ?? []
    return holder === undefined ? recorded : recorded.filter((other) => other.holder === holder)
  }

  #recordedIn(buckets: readonly string[], select: (record: LeaseRecord) => boolean): RecordedLease[] {
    return buckets.filter(isBucket).flatMap((bucket) => readRecordedLeases(this.#text(bucket), select))
  }

  /** Notes that these are the holder's leases, and no others, and where the holder lives. */
  set(holder: LeaseHolder, names: readonly LeaseName[], record?: LeaseRecord): void {
    const bucket = bucketOf(holder)
    this.#write(bucket, withLine(this.#text(bucket), holder, names, record))
  }

  /** Notes that these holders have no leases; writes each part once. */
  drop(holders: readonly LeaseHolder[]): void {
    const gone = new Set(holders)
    for (const bucket of new Set(holders.map(bucketOf))) {
      this.#write(
        bucket,
        withoutHolders(this.#text(bucket), (holder) => gone.has(holder)),
      )
    }
  }

  /** Makes the index say that these are all leases. Where their holders live it keeps. */
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

  /** The directory, which must be one: what a symbolic link leads to is not ours to change. */
  #own(directory: string): FileStatus {
    const status = linkStatus(directory)
    if (status.type !== S_IFDIR) throw new SystemError("ENOTDIR", `use ${directory}`)
    return status
  }

  #text(bucket: string): string {
    if (this.#read?.bucket !== bucket) {
      const text = unlessMissing(() => readNamed(`${this.#path}/${bucket}`, MAX_BUCKET_BYTES)) ?? emptyBucket
      this.#read = { bucket, text }
    }
    return this.#read.text
  }

  #write(bucket: string, text: string): void {
    this.#read = undefined
    if (text === emptyBucket) {
      removeFile(`${this.#path}/${bucket}`)
    } else {
      writeNew(`${this.#path}/${SCRATCH}`, text, { synced: false })
      removeFile(`${this.#path}/${bucket}`) // ext4 takes half a millisecond to rename over a file
      renameFile(`${this.#path}/${SCRATCH}`, `${this.#path}/${bucket}`)
    }
    this.#read = { bucket, text }
  }
}

function isBucket(name: string): boolean {
  return /^[0-9a-f]{2}$/.test(name)
}

/** From April 1974 to July 1978: a clock that was never set is in 1970. */
const MARKS = 1 << 27

function newMark(): bigint {
  const [random = 0] = new Uint32Array(randomBytes(4).buffer)
  return BigInt(MARKS + (random % MARKS))
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
