import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { engineSources } from "./engine.ts"
import { makeExecutable } from "./executable.ts"
import { makeImage } from "./image.ts"
import { pluginNames } from "./names.ts"
import { type Architecture, architectures, muslLicense } from "./toolchain.ts"

const root = join(fileURLToPath(import.meta.url), "../..")
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** What tar must be told so that the same files give the same bytes, whoever packs them, when and where. */
const reproducibly = [
  "--format=ustar",
  "--sort=name",
  "--mtime=@0",
  "--owner=0",
  "--group=0",
  "--numeric-owner",
  "--mode=u=rwX,go=rX",
]

/** Makes a tarball and an image per architecture, and SHA256SUMS, in `directory`; the same sources give the same bytes. */
async function build(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true })
  const scratch = mkdtempSync(join(directory, ".scratch-"))
  try {
    const archives: string[] = []
    for (const architecture of architectures) archives.push(...(await pack(scratch, architecture)))
    const sums = archives.map((archive) => `${sha256(join(scratch, archive))}  ${archive}\n`).join("")
    writeFileSync(join(scratch, "SHA256SUMS"), sums)
    for (const file of [...archives, "SHA256SUMS"]) renameSync(join(scratch, file), join(directory, file))
    process.stdout.write(sums)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/**
 * Makes both archives, and returns their names: the tarball is one directory with the executables, the installer and the licenses; the
 * image is the same without what needs a shell or a reader.
 */
async function pack(scratch: string, architecture: Architecture): Promise<string[]> {
  const title = `cni-ts-${version}-linux-${architecture}`
  const bin = join(scratch, title, "bin")
  mkdirSync(bin, { recursive: true })
  const [first = "", ...others] = pluginNames
  await makeExecutable(architecture, join(bin, first))
  for (const other of others) linkSync(join(bin, first), join(bin, other))
  await makeExecutable(architecture, join(bin, "cni-ts"), { program: "cli/main.ts" })
  copyFileSync(join(root, "LICENSE"), join(scratch, title, "LICENSE"))
  copyFileSync(join(engineSources(), "LICENSE"), join(scratch, title, "LICENSE-quickjs-ng"))
  copyFileSync(muslLicense(architecture), join(scratch, title, "LICENSE-musl"))
  const [tarball, image] = [`${title}.tgz`, `${title}-image.tar`]
  const packAll = (archive: string, directory: string) =>
    tar("-C", directory, "-cf", archive, ...readdirSync(directory))
  makeImage({ version, architecture, root: join(scratch, title), pack: packAll }, scratch, join(scratch, image))
  copyFileSync(join(root, "scripts/install"), join(scratch, title, "install"))
  copyFileSync(join(root, "docs/install.md"), join(scratch, title, "README.md"))
  tar("--use-compress-program=gzip -n", "-C", scratch, "-cf", join(scratch, tarball), title)
  return [tarball, image]
}

function tar(...args: readonly string[]): void {
  execFileSync("tar", [...reproducibly, ...args])
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex")
}

await build(resolve(process.argv[2] ?? join(root, "dist")))
