import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import type { Owner } from "./owner.ts"
import { parseTenancy, printTenancy, type Tenancy } from "./tenancy.ts"

/**
 * One part of the lease index as text: after a first line that tells it from an emptied file, one line per owner,
 * `"3f2a...\r\neth0" 10.1.2.3 fd00::3`, followed by ` in ` and the tenancy where the owner's network namespace is known.
 */
const HEADER = "cni-ts lease index 2\n"
const IN = " in "

/** A part that nobody is in, which needs no file. */
export const emptyBucket = HEADER

/** Which of the 256 parts an owner is in: an FNV-1a hash of the container id, so that a container is in one part only. */
export function bucketOf(owner: Owner): string {
  const [id = ""] = owner.split("\r\n")
  let hash = 0x811c9dc5
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193)
  return ((hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & 0xff).toString(16).padStart(2, "0")
}

/** Whether the text is what was written, and not what a power cut left of it. */
export function isWhole(text: string): boolean {
  return text.startsWith(HEADER) && text.endsWith("\n") && !text.includes("\0")
}

/** The owner's addresses in a whole part; undefined where its line makes no sense. */
export function readLine(text: string, owner: Owner): Address[] | undefined {
  const found = findLine(text, owner)
  if (!found) return []
  return readAddresses(text.slice(found.start + startOf(owner).length, found.end))
}

function readAddresses(line: string): Address[] | undefined {
  const end = line.indexOf(IN)
  const addresses = (end < 0 ? line : line.slice(0, end)).split(" ").map(parseAddress)
  return addresses.every((address) => address !== undefined) ? addresses : undefined
}

/** An owner's line that says where the owner lives. */
export interface Housed {
  readonly owner: Owner
  readonly addresses: readonly Address[]
  readonly tenancy: Tenancy
}

/** All such lines of a part; lines that make no sense are left out. */
export function readHoused(text: string): Housed[] {
  const housed: Housed[] = []
  for (const line of isWhole(text) ? text.split("\n") : []) {
    const [, quoted = "", rest = ""] = /^("(?:[^"\\]|\\.)*") (.*)$/.exec(line) ?? []
    const tenancy = parseTenancy(rest.slice(rest.indexOf(IN) + IN.length))
    const addresses = readAddresses(rest)
    const owner = tenancy && addresses && readQuoted(quoted)
    if (owner) housed.push({ owner, addresses, tenancy })
  }
  return housed
}

function readQuoted(text: string): Owner | undefined {
  try {
    return String(JSON.parse(text)) as Owner
  } catch {
    return undefined
  }
}

/** The part with these addresses as the owner's only ones. */
export function withLine(text: string, owner: Owner, addresses: readonly Address[], tenancy?: Tenancy): string {
  const found = findLine(text, owner)
  const others = found ? text.slice(0, found.start) + text.slice(found.end + 1) : text
  return others + lineOf(owner, addresses, tenancy)
}

/** All parts that hold an owner. */
export function printBuckets(
  leases: ReadonlyMap<Owner, readonly Address[]>,
  tenancies: ReadonlyMap<Owner, Tenancy>,
): Map<string, string> {
  const lines = new Map<string, string[]>()
  for (const [owner, addresses] of leases) {
    const bucket = bucketOf(owner)
    const others = lines.get(bucket)
    const line = lineOf(owner, addresses, tenancies.get(owner))
    if (others) others.push(line)
    else lines.set(bucket, [line])
  }
  return new Map(Array.from(lines, ([bucket, entries]) => [bucket, HEADER + entries.sort().join("")]))
}

function lineOf(owner: Owner, addresses: readonly Address[], tenancy: Tenancy | undefined): string {
  if (addresses.length === 0) return ""
  const residence = tenancy ? `${IN}${printTenancy(tenancy)}` : ""
  return `${startOf(owner)}${addresses.map(formatAddress).sort().join(" ")}${residence}\n`
}

/** JSON keeps any owner on one line, and no owner's text is the start of another's. */
function startOf(owner: Owner): string {
  return `${JSON.stringify(owner)} `
}

function findLine(text: string, owner: Owner): { start: number; end: number } | undefined {
  const before = text.indexOf(`\n${startOf(owner)}`)
  return before < 0 ? undefined : { start: before + 1, end: text.indexOf("\n", before + 1) }
}
