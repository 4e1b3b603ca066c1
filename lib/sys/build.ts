import { readEnd } from "./file.ts"
import { failedWith } from "./system-error.ts"

/** The end of our executables: a digest of all that they were made from. The build sets it; under Node.js there is none. */
declare const BUILD_MARK: string

/**
 * Returns true if the file at `path` is an executable of some build of ours. One that was cut short, stripped or changed at its end is
 * not.
 */
export function isOfAnyBuild(path: string): boolean {
  return /^cni-ts build [0-9a-f]{64}$/.test(readEnd(path, "cni-ts build ".length + 64))
}

/**
 * Returns true if the file at `path` is an executable of the very build that runs now, whatever its name. One that was cut short, stripped
 * or changed at its end is not.
 */
export function isOfThisBuild(path: string): boolean {
  if (typeof BUILD_MARK === "undefined") return false
  try {
    return readEnd(path, BUILD_MARK.length) === BUILD_MARK // in ASCII
  } catch (error) {
    if (failedWith(error, "ENOENT", "EACCES")) return false
    throw error
  }
}
