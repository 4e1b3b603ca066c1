import { CniError, code } from "../../../lib/cni/errors.ts"
import { unlessMissing } from "../../../lib/sys/file.ts"
import { fileStatus, linkStatus, S_IFLNK } from "../../../lib/sys/file-status.ts"
import type { LeasePlace } from "../config.ts"

export function leaseDirectory({ dataDir, network }: LeasePlace): string {
  return `${dataDir}/${network}`
}

export function indexDirectory({ dataDir, network }: LeasePlace): string {
  return `${dataDir}/.cni-ts/${network}`
}

export function lockPath(directory: string): string {
  return `${directory}/lock`
}

/** Returns the path, or the nearest directory above it that exists. Throws if a symbolic link on the way leads nowhere. */
export function nearestExisting(path: string): string {
  if (path === "" || unlessMissing(() => fileStatus(path))) return path || "/"
  // A directory that is there by now was made by another process meanwhile.
  if (unlessMissing(() => linkStatus(path))?.type === S_IFLNK) {
    throw new CniError(
      code.file,
      `cannot use ${path}: it is a symbolic link that leads nowhere`,
      "mount the file system that it leads to, or correct the link, or name another directory: see ipam.dataDir",
    )
  }
  return nearestExisting(path.slice(0, Math.max(path.lastIndexOf("/"), 0)))
}
