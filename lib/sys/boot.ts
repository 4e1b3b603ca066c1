import { readNamed } from "./file.ts"
import { type FileStatus, fileStatus } from "./file-status.ts"

/** Returns an id that changes with every start of the machine, or of a container that poses as one. */
export function readBootId(): string {
  return readNamed("/proc/sys/kernel/random/boot_id", 256).trim()
}

/** Returns the mount namespace of this process, in which paths mean the same to all processes. */
export function mountNamespace(): FileStatus {
  return fileStatus("/proc/self/ns/mnt")
}
