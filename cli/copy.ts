import { openFile, openRead, setMode, writeAll } from "../lib/sys/file.ts"
import { host } from "../lib/sys/host.ts"
import { O_CREAT, O_EXCL, O_WRONLY } from "../lib/sys/open-flags.ts"
import { checked } from "../lib/sys/system-error.ts"

/** Copies a file to a new name with these permissions, on the disk before this returns. Throws SystemError. */
export function copyFile(from: string, to: string, mode: number): void {
  using source = openRead(from)
  using target = openFile(to, O_WRONLY | O_CREAT | O_EXCL, mode, "create")
  const buffer = new Uint8Array(1 << 16)
  for (;;) {
    const count = checked(`read ${from}`, host.read(source.fd, buffer))
    if (count === 0) break
    writeAll(target.fd, buffer.subarray(0, count), to)
  }
  setMode(to, mode)
  checked(`write ${to}`, host.sync(target.fd))
}
