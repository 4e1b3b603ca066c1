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
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url))

/** An unpacked tarball whose plugins are small scripts, a plugin directory that others use too, and the installer. */
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

  /** What the tarball of a version holds. */
  release(version: string, plugins = ["bridge", "host-local", "portmap"]): void {
    rmSync(join(this.#from, "bin"), { recursive: true, force: true })
    mkdirSync(join(this.#from, "bin"))
    for (const name of plugins) plugin(join(this.#from, "bin", name), version)
  }

  install(...flags: readonly string[]) {
    return spawnSync(join(this.#from, "install"), [...flags, this.node], { encoding: "utf8" })
  }

  /**
   * Runs the installer and kills it before its `step`-th command, with whatever it started, in a PID namespace that ends with it.
   * Returns whether it came that far.
   */
  killInstall(step: number, ...flags: readonly string[]): boolean {
    const bin = join(this.top, "killing")
    rmSync(bin, { recursive: true, force: true })
    mkdirSync(bin)
    writeFileSync(join(bin, "count"), "0\n")
    for (const command of COMMANDS) script(join(bin, command), killing(bin, command, step))
    const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}`, REAL_PATH: process.env["PATH"] }
    const inside = `sh -c 'echo $$ >${bin}/pid; exec "$0" "$@"' "$@" & wait $!`
    const argv = ["-pf", "sh", "-c", inside, "sh", join(this.#from, "install"), ...flags, this.node]
    return spawnSync("unshare", argv, { env }).status === KILLED
  }

  /** Every name in the plugin directory with its content, or where it points to; nothing of the installer's own. */
  plugins(): Record<string, string> {
    const names = readdirSync(this.node).filter((name) => name !== ".cni-ts")
    return Object.fromEntries(names.map((name) => [name, content(join(this.node, name))]))
  }

  /** What the installer keeps for the way back. */
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
  script(path, `echo ${says}`)
}

function script(path: string, text: string): void {
  rmSync(path, { force: true })
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
}

/** What the installer executes between one state of the directory and the next. */
const COMMANDS = ["chmod", "dd", "ln", "mkdir", "mktemp", "mv", "rm", "rmdir", "sync"]
const KILLED = 128 + 9

/** A command that counts its uses and those of the others, and kills the installer instead of serving it for the `step`-th time. */
function killing(bin: string, command: string, step: number): string {
  return `
    read -r n <${bin}/count; n=$((n + 1)); echo $n >${bin}/count
    if [ $n = ${step} ]; then read -r pid <${bin}/pid; kill -9 $pid; exit 1; fi
    PATH=$REAL_PATH exec ${command} "$@"`
}

function content(path: string): string {
  if (lstatSync(path).isSymbolicLink()) return `-> ${readlinkSync(path)}`
  return readFileSync(path, "utf8").replace("#!/bin/sh\necho ", "").trimEnd()
}
