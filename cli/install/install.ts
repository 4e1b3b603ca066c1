import { isOfAnyBuild } from "../../lib/sys/build.ts"
import { randomBytes } from "../../lib/sys/digest.ts"
import { listDirectory, makeDirectories, setMode, unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus, S_IFREG } from "../../lib/sys/file-status.ts"
import { runExecutable, writeStdout } from "../../lib/sys/process.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { Unusable } from "../command.ts"
import { copyFile } from "../copy.ts"
import { PluginDirectory } from "./plugin-directory.ts"
import { removeTree } from "./tree.ts"

/**
 * Puts the executables of the directory `from` into the plugin directory. They are copied, on the disk, and have answered, before any name
 * changes; each name changes by rename. Throws Unusable or SystemError; what is begun then is finished by doing it again.
 */
export function install(from: string, path: string): void {
  if (unlessMissing(() => fileStatus(path)) === undefined) {
    makeDirectories(path, 0o755)
    setMode(path, 0o755)
  }
  using directory = new PluginDirectory(path)
  const names = listExecutables(from)
  for (const name of names) if (directory.isDirectory(name)) throw new Unusable(`${path}/${name} is a directory`)
  directory.prepare()
  const copied = copyAll(from, names, directory)
  for (const name of names) directory.switchName(name, `${copied}/${name}`)
  directory.restoreAllBut(names)
  directory.sync()
  directory.forgetExecutables({ but: copied })
  writeStdout(`${path}: ${names.join(" ")}\n`)
}

function listExecutables(from: string): string[] {
  const names = listDirectory(from).sort()
  for (const name of names) {
    const ours = fileStatus(`${from}/${name}`).type === S_IFREG && isOfAnyBuild(`${from}/${name}`)
    if (!ours)
      throw new Unusable(
        `${from}/${name} is no executable of cni-ts, or damaged: install from a directory of them alone`,
      )
  }
  return names
}

/** Copies the executables, each a file of its own: who writes into one changes that plugin alone. */
function copyAll(from: string, names: readonly string[], { path, executables }: PluginDirectory): string {
  const copied = `${executables}/${randomName()}`
  makeDirectories(copied, 0o755)
  for (const name of names) {
    try {
      copyFile(`${from}/${name}`, `${copied}/${name}`, 0o755)
      refuseMute(`${copied}/${name}`)
    } catch (error) {
      removeTree(copied)
      if (!(error instanceof SystemError || error instanceof Unusable)) throw error
      const what = `${name} cannot be copied to ${path}, or does not run on this node`
      throw new Unusable(`${what} (${error.message}); nothing was changed`)
    }
  }
  return copied
}

/** Throws Unusable or SystemError if the executable does not say which versions it knows. */
function refuseMute(executable: string): void {
  const env = { CNI_COMMAND: "VERSION" }
  const { exitCode } = runExecutable(executable, { env, stdin: new Uint8Array(), timeoutSeconds: 30 })
  if (exitCode !== 0) throw new Unusable("it answers with an error")
}

function randomName(): string {
  return [...randomBytes(8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
}
