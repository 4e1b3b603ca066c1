import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { bundle, MARK_PLACEHOLDER } from "./bundle.ts"
import { engineObjects, engineSources, profiledEngineObjects } from "./engine.ts"
import { objectsOf } from "./objects.ts"
import { ownFlags, type Target, type Toolchain, toolchainFor } from "./toolchain.ts"

const root = join(fileURLToPath(import.meta.url), "../..")
const native = join(root, "lib/sys/native")

/** Where the image lies in every process: behind the program, and below what the kernel gives out. */
const IMAGE_ADDRESS = "0x20000000"

/** How an executable is made other than for users. */
export interface Options {
  /** Keeps the names of all functions, and samples the TypeScript's (lib/sys/native/profile.c). */
  readonly profile?: boolean
  /** The module, by its path from the root, whose `main` is called instead of the plugins'. */
  readonly program?: string
}

/**
 * Makes an executable of all plugins at `path`: the script becomes byte code, the program without an image runs it and writes its heap, and
 * is linked once more with that. The same sources and compiler give the same bytes.
 */
export async function makeExecutable(
  target: Exclude<Target, "compiler">,
  path: string,
  options: Options = {},
): Promise<void> {
  const [script, engine, host, compiler] = await Promise.all([
    bundle({ named: options.profile === true, program: options.program ?? "plugins/main.ts" }),
    options.profile ? profiledEngineObjects(target) : engineObjects(target),
    hostObjects(target, options),
    compilerObjects(),
  ])
  const objects = [...host, ...engine]
  const mark = markOf(script, [...objects, join(native, "image.S")])
  mkdirSync(join(root, ".cache"), { recursive: true })
  const scratch = mkdtempSync(join(root, ".cache/executable-"))
  try {
    const toolchain = toolchainFor(target)
    const code = byteCode(compiler, scratch, script.replaceAll(MARK_PLACEHOLDER, mark), options)
    const program = linked(toolchain, objects, scratch, code)
    if (!options.profile && toolchain.strip) execFileSync(toolchain.strip, ["--strip-all", program])
    appendFileSync(program, mark)
    copyFileSync(program, `${path}.new`) // which may be on another file system
    chmodSync(`${path}.new`, 0o755)
    renameSync(`${path}.new`, path)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function hostObjects(target: Target, { profile }: Options): Promise<string[]> {
  const flags = [...ownFlags, "-isystem", engineSources(), ...(profile ? ["-DPROFILE"] : [])]
  return objectsOf({ name: profile ? "host-profiled" : "host", sources: native, flags }, target)
}

/** Those of the program that turns a script into byte code, on this machine. */
async function compilerObjects(): Promise<string[]> {
  const flags = [...ownFlags, "-isystem", engineSources()]
  const own = await objectsOf({ name: "byte-code", sources: join(root, "build/engine"), flags }, "compiler")
  return [...own, ...(await engineObjects("compiler"))]
}

function byteCode(objects: readonly string[], scratch: string, script: string, { profile }: Options): Uint8Array {
  const { compiler, link } = toolchainFor("compiler")
  const program = join(scratch, "compiler")
  execFileSync(compiler, link(objects, program))
  return execFileSync(program, profile ? ["names"] : [], { input: script, maxBuffer: 64 << 20 })
}

/** Executables of one build end with it (lib/sys/build.ts). */
function markOf(script: string, files: readonly string[]): string {
  const hash = createHash("sha256").update(script)
  for (const file of files) hash.update(readFileSync(file))
  return `cni-ts build ${hash.digest("hex")}`
}

/** Links twice, the second time with the image that the first program makes of the byte code; returns the path of the second. */
function linked(toolchain: Toolchain, objects: readonly string[], scratch: string, code: Uint8Array): string {
  const { compiler, flags, link, runner } = toolchain
  const linkWith = (name: string, defines: readonly string[]) => {
    const [image, program] = [join(scratch, `${name}.o`), join(scratch, name)]
    execFileSync(compiler, [...flags, ...defines, "-c", join(native, "image.S"), "-o", image], { cwd: scratch })
    execFileSync(compiler, [`-Wl,--section-start=.image=${IMAGE_ADDRESS}`, ...link([...objects, image], program)])
    return program
  }
  const maker = linkWith("maker", [])
  const [command = "", ...args] = [...runner, maker]
  writeFileSync(join(scratch, "image"), execFileSync(command, args, { input: code, maxBuffer: 64 << 20 }))
  const program = linkWith("program", ['-DIMAGE="image"'])
  compareAddresses(toolchain, maker, program)
  return program
}

/** The image points at functions and variables: they must lie in the second program where they lay in the first. */
function compareAddresses({ nm }: Toolchain, maker: string, program: string): void {
  const addresses = (path: string) =>
    execFileSync(nm, [path], { encoding: "utf8" })
      .split("\n")
      .filter((line) => !line.endsWith(" image_end"))
      .map((line) => line.replace(/ [a-zA-Z] /, " "))
  const [before, after] = [addresses(maker), addresses(program)]
  if (before.join("\n") !== after.join("\n"))
    throw new Error("the linker moved functions or variables between its two runs")
}
