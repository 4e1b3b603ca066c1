import { openRead } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { checked, SystemError } from "../../lib/sys/system-error.ts"

/** The notes of the Go toolchain in an executable that it makes. */
export interface GoBuild {
  /** The package of the program: `github.com/containernetworking/plugins/plugins/meta/portmap`. */
  readonly path: string
  /** Numbers of the release, such as 1.9.1; undefined if the executable does not say it, as those that Debian makes. */
  readonly version: Version | undefined
}

export type Version = readonly [major: number, minor: number, patch: number]

/** Reads `v1.9.1`, also within a longer word; undefined for a prerelease, and for anything else. */
export function readVersion(text: string): Version | undefined {
  const [, major, minor, patch, more = ""] = /^v?(\d+)\.(\d+)\.(\d+)(\S*)/.exec(text) ?? []
  return patch === undefined || more.startsWith("-") ? undefined : [Number(major), Number(minor), Number(patch)]
}

export function formatVersion(version: Version): string {
  return version.join(".")
}

/** Returns what an executable of Go 1.18 or later says of itself; undefined for another file, one that cannot be read, or on 32 bits. */
export function readGoBuild(path: string): GoBuild | undefined {
  try {
    using file = openRead(path)
    const section = buildSection(file.fd, path)
    return section && readSection(section)
  } catch (error) {
    if (error instanceof SystemError || error instanceof RangeError) return undefined // RangeError: a file that is cut
    throw error
  }
}

/** Larger than any that are met with: containerd's has 20 kB. */
const [MAX_SECTIONS, MAX_NAMES, MAX_BUILD] = [256, 64 << 10, 1 << 20]

/** Finds the section that Go writes it to (elf(5), of 64 bits and little-endian). */
function buildSection(fd: number, path: string): Uint8Array | undefined {
  const read = (offset: number, length: number) => {
    const buffer = new Uint8Array(length)
    return buffer.subarray(0, checked(`read ${path}`, host.readAt(fd, buffer, offset)))
  }
  const header = viewOf(read(0, 64))
  if (header.byteLength < 64 || header.getUint32(0) !== 0x7f454c46 || header.getUint16(4) !== 0x0201) return undefined
  const [size, count, names] = [58, 60, 62].map((offset) => header.getUint16(offset, true)) as [number, number, number]
  if (size !== 64 || count > MAX_SECTIONS) return undefined
  const table = viewOf(read(Number(header.getBigUint64(40, true)), size * count))
  const place = (index: number) => [24, 32].map((at) => Number(table.getBigUint64(index * size + at, true)))
  const [namesAt = 0, namesLength = 0] = place(names)
  const text = host.decode(read(namesAt, Math.min(namesLength, MAX_NAMES)))
  for (let index = 0; index < count; index++) {
    if (!text.startsWith(".go.buildinfo\0", table.getUint32(index * size, true))) continue
    const [at = 0, length = 0] = place(index)
    return read(at, Math.min(length, MAX_BUILD))
  }
  return undefined
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const MAGIC = "\xff Go buildinf:"
/** The strings follow the header, each behind its length. */
const [FLAGS_AT, INLINE, STRINGS_AT] = [15, 2, 32]

function readSection(bytes: Uint8Array): GoBuild | undefined {
  const isBuild = [...MAGIC].every((letter, at) => bytes[at] === letter.charCodeAt(0))
  if (!isBuild || ((bytes[FLAGS_AT] ?? 0) & INLINE) === 0) return undefined
  const [, modulesAt] = stringAt(bytes, STRINGS_AT)
  const [text] = stringAt(bytes, modulesAt)
  const path = /path\t(\S+)\n/.exec(text)?.[1] // behind a mark of 16 bytes
  if (path === undefined) return undefined
  const [, own = ""] = /^mod\t\S+\t(\S+)/m.exec(text) ?? []
  const [, stamped = ""] = /\.(?:Build)?Version=(v?\d\S*)/.exec(text) ?? [] // of -ldflags, as releases of the reference are made
  return { path, version: readVersion(own) ?? readVersion(stamped) }
}

/** Reads the string at the offset, behind its length as a varint, and where the next begins. */
function stringAt(bytes: Uint8Array, offset: number): [string, number] {
  let [length, at] = [0, offset]
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]
    if (byte === undefined || shift > 28) return ["", bytes.length]
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  return [host.decode(bytes.subarray(at, at + length)), at + length]
}
