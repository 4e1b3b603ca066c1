import { openRead } from "./file.ts"
import { fileStatus } from "./file-status.ts"
import { host } from "./host.ts"
import { failedWith } from "./system-error.ts"

/** The end of our executables: a digest of all that they were made from. The build sets it; under Node.js there is none. */
declare const BUILD_MARK: string

/**
 * Returns true if the file at `path` is an executable of the very build that runs now, whatever its name. One that was cut short, stripped
 * or changed at its end is not.
 */
export function isOfThisBuild(path: string): boolean {
  if (typeof BUILD_MARK === "undefined") return false
  try {
    const { size } = fileStatus(path)
    using file = openRead(path)
    const end = new Uint8Array(BUILD_MARK.length) // in ASCII
    const from = Math.max(0, size - end.length)
    return host.readAt(file.fd, end, from) === end.length && host.decode(end) === BUILD_MARK
  } catch (error) {
    if (failedWith(error, "ENOENT", "EACCES")) return false
    throw error
  }
}
