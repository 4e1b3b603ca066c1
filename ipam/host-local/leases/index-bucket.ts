import { host } from "../../../lib/sys/host.ts"
import type { Owner } from "./lease-holder.ts"
import { isLeaseName, type LeaseName } from "./lease-name.ts"
import { parseTenancy, printTenancy, type Tenancy } from "./lease-record.ts"

/**
 * One part of the lease index as text: after a first line that tells it from an emptied file, one line per owner,
 * `"3f2a...\r\neth0" 10.1.2.3 fd00::3`, followed by ` in ` and the tenancy if the owner's network namespace is known.
 */
const HEADER = "cni-ts lease index 2\n"
const IN = " in "

/** A part that nobody is in, which needs no file. */
export const emptyBucket = HEADER

/** Which of the 256 parts an owner is in: an FNV-1a hash of the container id, so that a container is in one part only. */
export function bucketOf(owner: Owner): string {
  const end = owner.indexOf("\r\n")
  const id = host.encode(end < 0 ? owner : owner.slice(0, end))
  const { length } = id // each step counts, when there are 65,000 owners
  let hash = 0x811c9dc5
  for (let at = 0; at < length; at++) hash = Math.imul(hash ^ (id[at] ?? 0), 0x01000193)
  return ((hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & 0xff).toString(16).padStart(2, "0")
}

/** Whether the text is what was written, and not what a power cut left of it. */
export function isWhole(text: string): boolean {
  return text.startsWith(HEADER) && text.endsWith("\n") && !text.includes("\0")
}

/** The names of the owner's leases in a whole part; undefined if its line makes no sense. */
export function readLine(text: string, owner: Owner): LeaseName[] | undefined {
  const found = findLine(text, owner)
  if (!found) return []
  return readNames(text.slice(found.start + startOf(owner).length, found.end))
}

/** What follows an owner in its line begins with the names. */
function readNames(rest: string): LeaseName[] | undefined {
  const end = rest.indexOf(IN)
  const names = (end < 0 ? rest : rest.slice(0, end)).split(" ")
  return names.every(isLeaseName) ? names : undefined
}

/** The owners in a whole part that `select` accepts, with the names of their leases. Lines that make no sense are left out. */
export function readOwners(text: string, select: (owner: Owner) => boolean): [Owner, LeaseName[]][] {
  const found: [Owner, LeaseName[]][] = []
  for (const line of text.split("\n")) {
    const end = quotedEnd(line)
    const owner = readQuoted(line.slice(0, end))
    const names = owner !== undefined && select(owner) ? readNames(line.slice(end + 1)) : undefined
    if (owner !== undefined && names) found.push([owner, names])
  }
  return found
}

/** An owner's line that says where the owner lives. */
export interface Housed {
  readonly owner: Owner
  readonly names: readonly LeaseName[]
  readonly tenancy: Tenancy
}

/** All such lines of a part whose tenancy `select` accepts; lines that make no sense are left out. */
export function readHoused(text: string, select: (tenancy: Tenancy) => boolean): Housed[] {
  const housed: Housed[] = []
  for (const line of isWhole(text) ? text.split("\n") : []) {
    if (!line.includes(IN)) continue
    const end = quotedEnd(line)
    const tenancy = parseTenancy(line.slice(line.indexOf(IN, end) + IN.length))
    if (!tenancy || !select(tenancy)) continue
    const [owner, names] = [readQuoted(line.slice(0, end)), readNames(line.slice(end + 1))]
    if (owner !== undefined && names) housed.push({ owner, names, tenancy })
  }
  return housed
}

/** Where the JSON string ends that a line begins with; its length if there is none. */
function quotedEnd(line: string): number {
  const end = line.indexOf('" ') + 1
  const usual = line.startsWith('"') && end > 1 && line[end - 2] !== "\\"
  return usual ? end : (/^"(?:[^"\\]|\\.)*"/.exec(line)?.[0].length ?? line.length)
}

function readQuoted(text: string): Owner | undefined {
  if (!text.startsWith('"')) return undefined
  try {
    return String(JSON.parse(text)) as Owner
  } catch {
    return undefined
  }
}

/** The part with these as the owner's only leases. */
export function withLine(text: string, owner: Owner, names: readonly LeaseName[], tenancy?: Tenancy): string {
  const found = findLine(text, owner)
  const others = found ? text.slice(0, found.start) + text.slice(found.end + 1) : text
  return others + lineOf(owner, names, tenancy)
}

/** The part without the owners that `select` accepts, whose lines make sense. */
export function withoutOwners(text: string, select: (owner: Owner) => boolean): string {
  const stays = (line: string) => {
    const owner = readQuoted(line.slice(0, quotedEnd(line)))
    return owner === undefined || !select(owner)
  }
  return text.split("\n").filter(stays).join("\n")
}

/** The part that says that these are all leases of its owners. Where they live it knows from the text that it replaces. */
export function printBucket(leases: ReadonlyMap<Owner, readonly LeaseName[]>, before: string): string {
  const tenancies = new Map(readHoused(before, () => true).map(({ owner, tenancy }) => [owner, tenancy]))
  const lines = Array.from(leases, ([owner, names]) => lineOf(owner, names, tenancies.get(owner)))
  return HEADER + lines.sort().join("")
}

function lineOf(owner: Owner, names: readonly LeaseName[], tenancy: Tenancy | undefined): string {
  if (names.length === 0) return ""
  const residence = tenancy ? `${IN}${printTenancy(tenancy)}` : ""
  return `${startOf(owner)}${names.toSorted().join(" ")}${residence}\n`
}

/** JSON keeps any owner on one line, and no owner's text is the start of another's. */
function startOf(owner: Owner): string {
  return `${JSON.stringify(owner)} `
}

function findLine(text: string, owner: Owner): { start: number; end: number } | undefined {
  const before = text.indexOf(`\n${startOf(owner)}`)
  return before < 0 ? undefined : { start: before + 1, end: text.indexOf("\n", before + 1) }
}
