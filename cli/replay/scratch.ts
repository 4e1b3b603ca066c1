import { listDirectory, makeDirectories, openFile, readText, unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"
import { host } from "../../lib/sys/host.ts"
import { mountPoints } from "../../lib/sys/mountinfo.ts"
import { O_CREAT, O_WRONLY } from "../../lib/sys/open-flags.ts"
import { checked } from "../../lib/sys/system-error.ts"

// sched.h and sys/mount.h
const CLONE_NEWNS = 0x20000
const CLONE_NEWNET = 0x40000000
const MS_RDONLY = 0x1
const MS_REMOUNT = 0x20
const MS_BIND = 0x1000
const MS_REC = 0x4000
const MS_PRIVATE = 0x40000

/** A directory that every node has, and no plugin looks into. */
const SCRATCH = "/proc/fs"
/** The plugins' directory within the scratch machine, and that in which they keep files. */
export const [PLUGINS, DATA] = [`${SCRATCH}/plugins`, `${SCRATCH}/data`]

/** Directories in which plugins keep files, and programs look for services of the node. */
const STATE = ["/run", "/var/run", "/var/lib", "/tmp"]

const OWN_NETWORK = "/proc/self/ns/net"

/**
 * A machine within this one, which vanishes with this process: its network is empty, and what programs write they find again, while this
 * machine's files cannot be changed, nor its network be reached.
 */
export class ScratchMachine {
  readonly #pods = new Map<string, string>()

  /** Moves this process there for good; the plugins' directory stays to be seen. Throws SystemError. */
  constructor(plugins: string) {
    leave("mount namespace", CLONE_NEWNS)
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    using directory = openFile(plugins, 0)
    protectFiles()
    leave("network namespace", CLONE_NEWNET)
    mount("proc", "/proc", "proc", 0)
    if (isThere("/sys")) mount("sysfs", "/sys", "sysfs", 0)
    protectSettings()
    for (const path of [...STATE, SCRATCH]) if (isThere(path)) mount("tmpfs", path, "tmpfs", 0)
    for (const path of [PLUGINS, DATA]) makeDirectories(path, 0o755)
    mount(`/proc/self/fd/${directory.fd}`, PLUGINS, "", MS_BIND)
  }

  /** Returns the path of the network namespace that stands for the pod, which is made when it is first asked for. */
  pod(name: string): string {
    const path = this.#pods.get(name) ?? this.#makePod()
    this.#pods.set(name, path)
    return path
  }

  #makePod(): string {
    const path = `${SCRATCH}/pod-${this.#pods.size + 1}`
    openFile(path, O_WRONLY | O_CREAT, 0o600, "create")[Symbol.dispose]()
    using home = openFile(OWN_NETWORK, 0)
    leave("network namespace", CLONE_NEWNET)
    mount(OWN_NETWORK, path, "", MS_BIND)
    checked("return to the scratch network namespace", host.enterNetwork(home.fd))
    return path
  }
}

/** Returns true if the node has that directory; without it, nothing is written there: the root is read-only. */
function isThere(path: string): boolean {
  return unlessMissing(() => fileStatus(path)) !== undefined
}

function leave(what: string, kind: number): void {
  checked(`make a ${what} of its own`, host.unshare(kind))
}

function mount(source: string, path: string, type: string, flags: number): void {
  checked(`mount ${path}`, host.mount(source, path, type, flags))
}

/** Has this process, and what it starts, change no file of the machine. */
function protectFiles(): void {
  const paths = mountPoints(readText("/proc/self/mountinfo"))
  mount("none", "/", "", MS_REMOUNT | MS_BIND | MS_RDONLY)
  // One that another covers cannot be reached, neither by this nor by what it starts.
  for (const path of paths) host.mount("none", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY)
}

/** Leaves the kernel's settings of networks alone to be changed: of others there is one for all. */
function protectSettings(): void {
  for (const name of listDirectory("/proc/sys").filter((each) => each !== "net")) {
    const path = `/proc/sys/${name}`
    mount(path, path, "", MS_BIND)
    mount("none", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY)
  }
}
