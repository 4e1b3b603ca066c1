import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { join, resolve } from "node:path"
import { plugins } from "../plugins/registry.ts"
import { type Architecture, compile } from "./compile.ts"
import { runtimeFor } from "./runtime.ts"

const root = join(import.meta.dirname, "..")
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** Tarballs bear the names that Kubernetes uses for architectures. */
const architectures: Readonly<Record<string, Architecture>> = { amd64: "x64", arm64: "arm64" }

/** What the runtime in the executable is licensed under, with the libraries in it: Bun's own page, of the release in package.json. */
const runtimeLicense = "node_modules/bun-types/docs/project/license.mdx"

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

/** Makes a tarball per architecture and SHA256SUMS in `directory`; the same sources give the same bytes. */
function build(directory: string): void {
  mkdirSync(directory, { recursive: true })
  const scratch = mkdtempSync(join(directory, ".scratch-"))
  try {
    const archives = Object.entries(architectures).map(([name, architecture]) => pack(scratch, name, architecture))
    const sums = archives.map((archive) => `${sha256(join(scratch, archive))}  ${archive}\n`).join("")
    writeFileSync(join(scratch, "SHA256SUMS"), sums)
    for (const file of [...archives, "SHA256SUMS"]) renameSync(join(scratch, file), join(directory, file))
    process.stdout.write(sums)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Returns the tarball's name: in it, one directory with the executables, the installer and the licenses. */
function pack(scratch: string, name: string, architecture: Architecture): string {
  const title = `cni-ts-${version}-linux-${name}`
  const archive = `${title}.tgz`
  const bin = join(scratch, title, "bin")
  mkdirSync(bin, { recursive: true })
  const [first = "", ...others] = Object.keys(plugins).sort()
  compile(join(scratch, "cni-ts"), { architecture, bun: runtimeFor(architecture) })
  renameSync(join(scratch, "cni-ts"), join(bin, first))
  for (const other of others) linkSync(join(bin, first), join(bin, other))
  copyFileSync(join(root, "scripts/install"), join(scratch, title, "install"))
  copyFileSync(join(root, "LICENSE"), join(scratch, title, "LICENSE"))
  copyFileSync(join(root, runtimeLicense), join(scratch, title, "LICENSE-bun.md"))
  copyFileSync(join(root, "docs/install.md"), join(scratch, title, "README.md"))
  execFileSync("tar", [
    ...reproducibly,
    "--use-compress-program=gzip -n",
    "-C",
    scratch,
    "-cf",
    join(scratch, archive),
    title,
  ])
  return archive
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex")
}

build(resolve(process.argv[2] ?? join(root, "dist")))
