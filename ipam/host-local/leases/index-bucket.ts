import { host } from "../../../lib/sys/host.ts"
import type { LeaseHolder } from "./lease-holder.ts"
import { isLeaseName, type LeaseName } from "./lease-name.ts"
import { type LeaseRecord, parseLeaseRecord, printLeaseRecord } from "./lease-record.ts"

/**
 * One bucket of the lease index as text: a first line that tells it from an emptied file, then one line per holder,
 * `"3f2a...\r\neth0" 10.1.2.3 fd00::3`, followed by ` in ` and the record if the holder's network namespace is known.
 */
const HEADER = "cni-ts lease index 2\n"
const IN = " in "

/** A bucket without holders, which needs no file. */
export const emptyBucket = HEADER

/** The container whose bucket was asked for last: most calls are about one. */
let last = { container: "", bucket: "" }

/** Returns the holder's bucket, one of 256: all holders of a container share a bucket. */
export function bucketOf(holder: LeaseHolder): string {
  const end = holder.indexOf("\r\n")
  const container = end < 0 ? holder : holder.slice(0, end)
  if (container !== last.container || last.bucket === "") last = { container, bucket: digitsOf(container) }
  return last.bucket
}

/** Returns two hex digits of the text's hash. */
function digitsOf(text: string): string {
  const hash = host.fnv1a(text)
  return ((hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & 0xff).toString(16).padStart(2, "0")
}

/** Returns true if the text is what was written, and not what a power cut left of it. */
export function isWhole(text: string): boolean {
  return text.startsWith(HEADER) && text.endsWith("\n") && !text.includes("\0")
}

/** Reads the names of the holder's leases from a whole bucket; undefined if its line makes no sense. */
export function readLine(text: string, holder: LeaseHolder): LeaseName[] | undefined {
  const found = findLine(text, holder)
  return found ? readNames(text.slice(found.names, found.end)) : []
}

/** Reads the names, which follow the holder in its line. */
function readNames(rest: string): LeaseName[] | undefined {
  const end = rest.indexOf(IN)
  const names = (end < 0 ? rest : rest.slice(0, end)).split(" ")
  return names.every(isLeaseName) ? names : undefined
}

/** Reads the holders that `select` accepts from a whole bucket, with the names of their leases. Skips lines that make no sense. */
export function readHolders(text: string, select: (holder: LeaseHolder) => boolean): [LeaseHolder, LeaseName[]][] {
  const found: [LeaseHolder, LeaseName[]][] = []
  for (const line of text.split("\n")) {
    const end = quotedEnd(line)
    const holder = readQuoted(line.slice(0, end))
    const names = holder !== undefined && select(holder) ? readNames(line.slice(end + 1)) : undefined
    if (holder !== undefined && names) found.push([holder, names])
  }
  return found
}

/** The leases of one holder whose network namespace is recorded. */
export interface RecordedLease {
  readonly holder: LeaseHolder
  readonly names: readonly LeaseName[]
  readonly record: LeaseRecord
}

/** Reads the leases whose record `select` accepts from a bucket that may be damaged. Skips lines that make no sense. */
export function readRecordedLeases(text: string, select: (record: LeaseRecord) => boolean): RecordedLease[] {
  const recorded: RecordedLease[] = []
  for (const line of isWhole(text) ? text.split("\n") : []) {
    if (!line.includes(IN)) continue
    const end = quotedEnd(line)
    const record = parseLeaseRecord(line.slice(line.indexOf(IN, end) + IN.length))
    if (!record || !select(record)) continue
    const [holder, names] = [readQuoted(line.slice(0, end)), readNames(line.slice(end + 1))]
    if (holder !== undefined && names) recorded.push({ holder, names, record })
  }
  return recorded
}

/** Returns the end of the JSON string that a line begins with; the length of the line if there is none. */
function quotedEnd(line: string): number {
  const end = line.indexOf('" ') + 1
  const usual = line.startsWith('"') && end > 1 && line[end - 2] !== "\\"
  return usual ? end : (/^"(?:[^"\\]|\\.)*"/.exec(line)?.[0].length ?? line.length)
}

function readQuoted(text: string): LeaseHolder | undefined {
  if (!text.startsWith('"')) return undefined
  try {
    return String(JSON.parse(text)) as LeaseHolder
  } catch {
    return undefined
  }
}

/** Returns the bucket with these as the holder's only leases. */
export function withLine(text: string, holder: LeaseHolder, names: readonly LeaseName[], record?: LeaseRecord): string {
  const found = findLine(text, holder)
  const others = found ? text.slice(0, found.start) + text.slice(found.end + 1) : text
  return others + lineOf(holder, names, record)
}

/** Returns the bucket without the holders that `select` accepts. Lines that make no sense stay. */
export function withoutHolders(text: string, select: (holder: LeaseHolder) => boolean): string {
  const stays = (line: string) => {
    const holder = readQuoted(line.slice(0, quotedEnd(line)))
    return holder === undefined || !select(holder)
  }
  return text.split("\n").filter(stays).join("\n")
}

/** Prints the bucket for these leases, with the records that the text before it has of their holders. */
export function printBucket(leases: ReadonlyMap<LeaseHolder, readonly LeaseName[]>, before: string): string {
  const records = new Map(readRecordedLeases(before, () => true).map(({ holder, record }) => [holder, record]))
  const lines = Array.from(leases, ([holder, names]) => lineOf(holder, names, records.get(holder)))
  return HEADER + lines.sort().join("")
}

function lineOf(holder: LeaseHolder, names: readonly LeaseName[], record: LeaseRecord | undefined): string {
  if (names.length === 0) return ""
  const identity = record ? `${IN}${printLeaseRecord(record)}` : ""
  return `${startOf(holder)}${names.toSorted().join(" ")}${identity}\n`
}

/** Returns the start of a holder's line. As JSON any holder is on one line, and none is the start of another. */
function startOf(holder: LeaseHolder): string {
  return `${JSON.stringify(holder)} `
}

interface Line {
  readonly start: number
  /** The place behind the holder. */
  readonly names: number
  readonly end: number
}

function findLine(text: string, holder: LeaseHolder): Line | undefined {
  if (text === emptyBucket) return undefined
  const before = `\n${startOf(holder)}`
  const at = text.indexOf(before)
  return at < 0 ? undefined : { start: at + 1, names: at + before.length, end: text.indexOf("\n", at + 1) }
}
