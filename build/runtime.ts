import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { Architecture } from "./compile.ts"

const root = join(import.meta.dirname, "..")

/** The path of the Bun that package-lock.json pins for an architecture: npm's if it installed it, else fetched once into .cache. */
export function runtimeFor(architecture: Architecture): string {
  const name = `@oven/bun-linux-${architecture === "arm64" ? "aarch64" : "x64"}`
  const { version, integrity } = pinned(name)
  const installed = join(root, "node_modules", name, "bin/bun")
  if (existsSync(installed)) return installed
  const kept = join(root, ".cache/bun", `${architecture}-${version}`)
  if (!existsSync(kept)) fetch(`${name}@${version}`, integrity, kept)
  return join(kept, "package/bin/bun")
}

function pinned(name: string): { version: string; integrity: string } {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"))
  const { version, integrity } = packages[`node_modules/${name}`] ?? {}
  if (typeof version !== "string" || typeof integrity !== "string")
    throw new Error(`package-lock.json does not pin ${name}`)
  return { version, integrity }
}

/** npm installs no optional package of a foreign platform, but packs any: downloaded, compared with the lock file, unpacked. */
function fetch(spec: string, integrity: string, to: string): void {
  console.log(`fetching ${spec}`)
  mkdirSync(join(root, ".cache/bun"), { recursive: true })
  const scratch = mkdtempSync(join(root, ".cache/bun/fetch-"))
  try {
    execFileSync("npm", ["pack", spec, "--silent", "--pack-destination", scratch], { stdio: ["ignore", 2, 2] })
    const [archive = ""] = readdirSync(scratch)
    const digest = `sha512-${createHash("sha512")
      .update(readFileSync(join(scratch, archive)))
      .digest("base64")}`
    if (digest !== integrity) throw new Error(`${spec} is ${digest}, package-lock.json pins ${integrity}`)
    execFileSync("tar", ["-xzf", join(scratch, archive), "-C", scratch])
    renameSync(scratch, to)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
