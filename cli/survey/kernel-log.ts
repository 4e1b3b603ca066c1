import { errnoName } from "../../lib/sys/errno.ts"
import { openRead, readText } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { checked } from "../../lib/sys/system-error.ts"

/** A line that the kernel itself has said. */
export interface KernelLine {
  readonly text: string
  /** Seconds since then, by the kernel's clock. */
  readonly ago: number
}

/** Older lines say what was. */
const RECENT_SECONDS = 600
/** As many as a buffer of 16 MB may hold. */
const MAX_READS = 1 << 17
/** The longest record (CONSOLE_EXT_LOG_MAX), with what may be left of the one before if it is a plain file. */
const LONGEST = 16 << 10

/** Returns what the kernel has said of late (/dev/kmsg), oldest first. Does not wait for more. Throws SystemError. */
export function readKernelLog(): KernelLine[] {
  const now = Number(readText("/proc/uptime", 256).split(" ")[0])
  using file = openRead("/dev/kmsg")
  const buffer = new Uint8Array(LONGEST)
  const lines: KernelLine[] = []
  let rest = ""
  for (let reads = 0; reads < MAX_READS; reads++) {
    const count = host.read(file.fd, buffer)
    const errno = count < 0 ? errnoName(-count) : undefined
    if (count === 0 || errno === "EAGAIN") break
    if (errno === "EPIPE") continue // overwritten meanwhile: the next read goes on behind the gap
    const read = rest + host.decode(buffer.subarray(0, checked("read /dev/kmsg", count)))
    const records = read.split("\n")
    rest = records.pop() ?? ""
    for (const record of records) {
      const ago = now - secondsIn(record)
      if (ago <= RECENT_SECONDS) lines.push({ text: record.slice(record.indexOf(";") + 1), ago: Math.max(0, ago) })
    }
  }
  return lines
}

/**
 * Reads the time of `PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT`; NaN for a record's further lines, and for what programs have written there: they
 * have a facility, in the bits above the priority.
 */
function secondsIn(record: string): number {
  if (record[1] !== "," || record >= "8") return Number.NaN
  const at = record.indexOf(",", 2) + 1
  return Number(record.slice(at, record.indexOf(",", at))) / 1e6
}
