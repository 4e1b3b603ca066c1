import { openFile } from "../lib/sys/file.ts"
import { host } from "../lib/sys/host.ts"
import { O_CREAT, O_WRONLY } from "../lib/sys/open-flags.ts"
import { checked } from "../lib/sys/system-error.ts"

/*
 * Namespaces and mounts of this process alone, which vanish with it.
 */

// sched.h and sys/mount.h
const CLONE_NEWNS = 0x20000
const CLONE_NEWNET = 0x40000000
export const MS_RDONLY = 0x1
export const MS_REMOUNT = 0x20
export const MS_BIND = 0x1000
const MS_REC = 0x4000
const MS_PRIVATE = 0x40000

/** A directory that every node has, and no plugin looks into: scratch files lie there, seen by this process and what it starts alone. */
export const SCRATCH = "/proc/fs"

/** The network namespace that the process is in. */
export const OWN_NETWORK = "/proc/self/ns/net"

/** Has no mount that this process makes from here on be seen by others. Throws SystemError. */
export function leaveMounts(): void {
  leave("mount namespace", CLONE_NEWNS)
  mount("none", "/", "", MS_REC | MS_PRIVATE)
}

/** Moves this process to an empty network namespace. Throws SystemError. */
export function leaveNetwork(): void {
  leave("network namespace", CLONE_NEWNET)
}

/** Moves this process to an empty network namespace, and gives that a path. Throws SystemError. */
export function openNetwork(path: string): void {
  makeEmpty(path)
  leaveNetwork()
  mount(OWN_NETWORK, path, "", MS_BIND)
}

/** Makes an empty file, for something to be mounted on. */
export function makeEmpty(path: string): void {
  openFile(path, O_WRONLY | O_CREAT, 0o600, "create")[Symbol.dispose]()
}

/** Mounts, as mount(2). Throws SystemError. */
export function mount(source: string, path: string, type: string, flags: number): void {
  checked(`mount ${path}`, host.mount(source, path, type, flags))
}

function leave(what: string, kind: number): void {
  checked(`make a ${what} of its own`, host.unshare(kind))
}
