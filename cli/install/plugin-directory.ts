import {
  linkFile,
  listDirectory,
  makeDirectories,
  openRead,
  removeFile,
  renameFile,
  syncDirectory,
  unlessMissing,
} from "../../lib/sys/file.ts"
import { type FileStatus, linkStatus, S_IFDIR, sameFile } from "../../lib/sys/file-status.ts"
import { lock } from "../../lib/sys/lock.ts"
import { writeStdout } from "../../lib/sys/process.ts"
import { Unusable } from "../command.ts"
import { putBack } from "../record/wrapping.ts"
import { removeDirectory, removeTree } from "./tree.ts"

/** A node's plugin directory, locked, with what the installer keeps in it. */
export class PluginDirectory implements Disposable {
  readonly path: string
  readonly #lock: Disposable
  /** Each holds the executables of one installation, as a hard link each, by which they are known to be ours. */
  readonly executables: string
  /** Files that bore the names before the first installation, such as the Go plugins. */
  readonly #replaced: string
  /** A name for a file that is about to get a plugin's. */
  readonly #next: string

  /** Waits until no other installer is at work in it, and ends a recording of its calls. Throws Unusable if there is no such directory. */
  constructor(path: string) {
    if (statusOf(`${path}/.`)?.type !== S_IFDIR) throw new Unusable(`there is no directory ${path}`)
    this.path = path
    this.executables = `${path}/.cni-ts/executables`
    this.#replaced = `${path}/.cni-ts/replaced`
    this.#next = `${path}/.cni-ts/next`
    const directory = openRead(path)
    lock(directory.fd, path)
    this.#lock = directory
    putBack(path)
  }

  get isInstalled(): boolean {
    return statusOf(`${this.path}/.cni-ts`) !== undefined
  }

  prepare(): void {
    for (const directory of [this.executables, this.#replaced]) makeDirectories(directory, 0o755)
  }

  /** Returns true if a directory bears the name, which no plugin can have then. */
  isDirectory(name: string): boolean {
    return statusOf(`${this.path}/${name}`)?.type === S_IFDIR
  }

  /** Gives the name to a file of `executables`. What bears it and is not ours is kept. */
  switchName(name: string, executable: string): void {
    const path = `${this.path}/${name}`
    const before = statusOf(path)
    if (before && !this.#known().some((known) => sameFile(known, before))) {
      removeFile(`${this.#replaced}/${name}`)
      linkFile(path, `${this.#replaced}/${name}`)
    }
    removeFile(this.#next)
    linkFile(executable, this.#next)
    renameFile(this.#next, path)
  }

  /** Gives each name that is ours, save these, back to what bore it before, or to nobody. */
  restoreAllBut(wanted: readonly string[]): void {
    const known = this.#known()
    for (const name of listDirectory(this.path).sort()) {
      const status = statusOf(`${this.path}/${name}`)
      if (status && !wanted.includes(name) && known.some((ours) => sameFile(ours, status))) this.#restore(name)
    }
  }

  #known(): FileStatus[] {
    const directories = unlessMissing(() => listDirectory(this.executables)) ?? []
    const paths = directories.flatMap((directory) =>
      listDirectory(`${this.executables}/${directory}`).map((name) => `${this.executables}/${directory}/${name}`),
    )
    return paths.flatMap((path) => statusOf(path) ?? [])
  }

  #restore(name: string): void {
    const [path, before] = [`${this.path}/${name}`, `${this.#replaced}/${name}`]
    const kept = statusOf(before) !== undefined
    if (kept) renameFile(before, path)
    else removeFile(path)
    writeStdout(`${path}: ${kept ? "as before" : "removed"}\n`)
  }

  /** Puts back what is still kept, unless its name is somebody else's by now. */
  restoreKept(): void {
    for (const name of (unlessMissing(() => listDirectory(this.#replaced)) ?? []).sort()) {
      const [path, kept] = [`${this.path}/${name}`, `${this.#replaced}/${name}`]
      const [now, before] = [statusOf(path), statusOf(kept)]
      if (!now) renameFile(kept, path)
      else if (before && sameFile(now, before)) removeFile(kept)
      else writeStdout(`${path}: somebody else's since; what was there before stays in ${kept}\n`)
    }
  }

  /** Has the disk know of all names. */
  sync(): void {
    for (const directory of [this.path, this.#replaced]) unlessMissing(() => syncDirectory(directory))
  }

  /** Removes the executables of other installations, which bear no name any more. */
  forgetExecutables({ but }: { but: string }): void {
    for (const name of listDirectory(this.executables)) {
      const directory = `${this.executables}/${name}`
      if (directory !== but) removeTree(directory)
    }
  }

  /** Removes the installer's own files, save what stays kept. */
  forget(): void {
    removeTree(this.executables)
    removeFile(this.#next)
    if (removeDirectory(this.#replaced)) removeDirectory(`${this.path}/.cni-ts`)
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]()
  }
}

function statusOf(path: string): FileStatus | undefined {
  return unlessMissing(() => linkStatus(path))
}
