import { listDirectory, makeDirectories, openFile, readText, unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"
import { host } from "../../lib/sys/host.ts"
import { mountPoints } from "../../lib/sys/mountinfo.ts"
import { checked } from "../../lib/sys/system-error.ts"
import {
  leaveMounts,
  leaveNetwork,
  MS_BIND,
  MS_RDONLY,
  MS_REMOUNT,
  mount,
  OWN_NETWORK,
  openNetwork,
  SCRATCH,
} from "../unshared.ts"

/** The plugins' directory within the scratch machine, and that in which they keep files. */
export const [PLUGINS, DATA] = [`${SCRATCH}/plugins`, `${SCRATCH}/data`]

/** Directories in which plugins keep files, and programs look for services of the node. */
const STATE = ["/run", "/var/run", "/var/lib", "/tmp"]

/**
 * A machine within this one, which vanishes with this process: its network is empty, and what programs write they find again, while this
 * machine's files cannot be changed, nor its network be reached.
 */
export class ScratchMachine {
  readonly #pods = new Map<string, string>()

  /** Moves this process there for good; the plugins' directory stays to be seen. Throws SystemError. */
  constructor(plugins: string) {
    leaveMounts()
    using directory = openFile(plugins, 0)
    protectFiles()
    leaveNetwork()
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
    using home = openFile(OWN_NETWORK, 0)
    openNetwork(path)
    checked("return to the scratch network namespace", host.enterNetwork(home.fd))
    return path
  }
}

/** Returns true if the node has that directory; without it, nothing is written there: the root is read-only. */
function isThere(path: string): boolean {
  return unlessMissing(() => fileStatus(path)) !== undefined
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
