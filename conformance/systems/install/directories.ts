import { spawnSync } from "node:child_process"
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { binDirectory } from "../../lab/executables.ts"
import { changesOf, killAt, type Point } from "../../lab/kill-points.ts"

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url))

/** An unpacked tarball whose plugins are small scripts beside the real `cni-ts`, a plugin directory that others use too, and the installer. */
export class Directories {
  readonly top = mkdtempSync(join(tmpdir(), "cnits-install-"))
  readonly node = join(this.top, "node")
  readonly #from = join(this.top, "from")

  constructor() {
    mkdirSync(this.#from)
    copyFileSync(join(ROOT, "scripts/install"), join(this.#from, "install"))
    chmodSync(join(this.#from, "install"), 0o755)
    mkdirSync(this.node)
    plugin(join(this.node, "bridge"), "go bridge")
    plugin(join(this.node, "portmap-of-others"), "go portmap")
    symlinkSync("portmap-of-others", join(this.node, "portmap"))
  }

  /** Makes what the tarball of a version holds. */
  release(version: string, plugins = ["bridge", "host-local", "portmap"]): void {
    rmSync(join(this.#from, "bin"), { recursive: true, force: true })
    mkdirSync(join(this.#from, "bin"))
    for (const name of plugins) release(join(this.#from, "bin", name), version)
    copyFileSync(join(binDirectory(), "cni-ts"), join(this.#from, "bin/cni-ts"))
  }

  install(...flags: readonly string[]) {
    return spawnSync(join(this.#from, "install"), [...flags, this.node], { encoding: "utf8" })
  }

  /** Runs the installer and returns its system calls that change something, in order. */
  points(...flags: readonly string[]): readonly Point[] {
    return changesOf(this.#argv(flags), join(this.top, "strace.out"))
  }

  /** Runs the installer and kills it as it begins that system call. */
  killInstall(point: Point, ...flags: readonly string[]): void {
    killAt(point, this.#argv(flags))
  }

  /** The words of the command that the script executes. */
  #argv(flags: readonly string[]): string[] {
    return [join(this.#from, "bin/cni-ts"), flags.includes("--uninstall") ? "uninstall" : "install", this.node]
  }

  /** Every name in the plugin directory with its content, or where it points to; nothing of the installer's own. */
  plugins(): Record<string, string> {
    const names = readdirSync(this.node).filter((name) => ![".cni-ts", "cni-ts"].includes(name))
    return Object.fromEntries(names.map((name) => [name, content(join(this.node, name))]))
  }

  /** Returns what the installer keeps for the way back. */
  replaced(): Record<string, string> {
    const replaced = join(this.node, ".cni-ts/replaced")
    return Object.fromEntries(readdirSync(replaced).map((name) => [name, content(join(replaced, name))]))
  }

  [Symbol.dispose](): void {
    rmSync(this.top, { recursive: true, force: true })
  }
}

/** A plugin that says which one it is. */
export function plugin(path: string, says: string): void {
  rmSync(path, { force: true })
  writeFileSync(path, `#!/bin/sh\necho ${says}\n`, { mode: 0o755 })
}

/** Such a plugin with the last words by which the installer knows executables of ours. */
export function release(path: string, says: string): void {
  plugin(path, `${says}\n# cni-ts build ${"0".repeat(64)}`)
  truncateSync(path, statSync(path).size - 1)
}

function content(path: string): string {
  if (lstatSync(path).isSymbolicLink()) return `-> ${readlinkSync(path)}`
  return readFileSync(path, "utf8").replace("#!/bin/sh\necho ", "").split("\n", 1).join()
}
