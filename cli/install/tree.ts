import { listDirectory, removeFile, unlessMissing } from "../../lib/sys/file.ts"
import { linkStatus, S_IFDIR } from "../../lib/sys/file-status.ts"
import { host } from "../../lib/sys/host.ts"
import { checked, failedWith } from "../../lib/sys/system-error.ts"

/** Removes a directory and all that is in it; none is fine. Follows no symbolic link. */
export function removeTree(path: string): void {
  for (const name of unlessMissing(() => listDirectory(path)) ?? []) {
    const child = `${path}/${name}`
    if (unlessMissing(() => linkStatus(child))?.type === S_IFDIR) removeTree(child)
    else removeFile(child)
  }
  removeDirectory(path)
}

/** Removes the directory if it is empty. Returns true if it is gone. */
export function removeDirectory(path: string): boolean {
  try {
    checked(`remove ${path}`, host.removeDirectory(path))
    return true
  } catch (error) {
    if (failedWith(error, "ENOTEMPTY")) return false
    if (failedWith(error, "ENOENT")) return true
    throw error
  }
}
