import { readText } from "./file.ts"
import { type FileStatus, fileStatus } from "./file-status.ts"

/** Differs after every start of the machine, or of the container where that pretends to be one. */
export function readBootId(): string {
  return readText("/proc/sys/kernel/random/boot_id", 256).trim()
}

/** Identifies the mount namespace of this process: paths mean the same to all processes in it. */
export function mountNamespace(): FileStatus {
  return fileStatus("/proc/self/ns/mnt")
}
