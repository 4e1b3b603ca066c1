import type { Errno } from "./errno.ts"
import type { SystemError } from "./system-error.ts"

const SEE_KERNEL = "see the node's kernel log (dmesg)"
const READ_ONLY = "mount it writable, or name another place in the config"
const FULL = "free space, inodes or quota there"
const WRONG_PATH = "correct the path, or remove what is in the way there"

const advice: Partial<Record<Errno, string>> = {
  EPERM: "the plugin has to run as root, with CAP_NET_ADMIN and CAP_SYS_ADMIN",
  EACCES:
    "the plugin has to run as root; look at the path's permissions, and at what AppArmor or SELinux forbid (dmesg)",
  ENOENT: "make it, or correct the path; it may also have vanished meanwhile",
  ENOTDIR: WRONG_PATH,
  EISDIR: WRONG_PATH,
  ELOOP: WRONG_PATH,
  ENXIO: WRONG_PATH,
  ENAMETOOLONG: "shorten the path or the name in it",
  EROFS: READ_ONLY,
  ENOSPC: FULL,
  EDQUOT: FULL,
  EIO: `the disk may be broken: ${SEE_KERNEL}`,
  EFBIG: "nothing that the plugins read is so long: remove or replace it",
  ENOMEM: "free memory on the node, or raise memory.max of the control group",
  ENOBUFS: "free memory on the node, or raise memory.max of the control group",
  EMFILE: "raise the limit of open files: the runtime's ulimit -n (LimitNOFILE= of its unit)",
  ENFILE: "the node has too many open files: raise the sysctl fs.file-max",
  EAGAIN: "try again; if it is about a process, raise the limit of processes (ulimit -u, pids.max)",
  ENOEXEC: "it is no program for this node: install it anew",
  ETXTBSY: "it is being replaced: try again",
  EBUSY: "something else uses it: try again later",
  EPROTONOSUPPORT: "the node's kernel lacks this feature or its module is not loaded",
  EAFNOSUPPORT: "the node's kernel lacks this feature or its module is not loaded",
}

const SYSCTL =
  "the plugin has to change this setting: make /proc/sys writable where the container runtime runs (mount -o remount,rw /proc/sys; if that is a container, run it privileged)"

/** Returns advice for the operator if a system call on a file, socket or process of the node failed. */
export function adviceOn({ errno, asked }: Pick<SystemError, "errno" | "asked">): string {
  if (asked.includes("/proc/sys/") && (errno === "EROFS" || errno === "EACCES")) return SYSCTL
  return advice[errno] ?? SEE_KERNEL
}
