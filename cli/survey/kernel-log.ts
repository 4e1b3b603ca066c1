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
    const end = read.lastIndexOf("\n") + 1
    rest = read.slice(end)
    for (const record of read.slice(0, end).split("\n")) {
      const line = lineIn(record, now)
      if (line && line.ago <= RECENT_SECONDS) lines.push(line)
    }
  }
  return lines
}

/** Reads `PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT`; undefined for what programs have written there, and for a record's further lines. */
function lineIn(record: string, now: number): KernelLine | undefined {
  const end = record.indexOf(";")
  const [priority = "", , microseconds = ""] = end === -1 ? [] : record.slice(0, end).split(",")
  const isKernels = /^[0-7]$/.test(priority) // the facility is in the bits above
  return isKernels ? { text: record.slice(end + 1), ago: Math.max(0, now - Number(microseconds) / 1e6) } : undefined
}
