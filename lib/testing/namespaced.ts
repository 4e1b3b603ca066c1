import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { nodeWithTypeScript } from "./script.ts"

/**
 * Runs a module of this folder as a process of its own, which may do with its network and mounts what it likes: they are its own, and
 * `lo` is down; its stdin is `input`. Whoever is not root becomes root of a user namespace, and sees in /proc no processes that are closed to it. Returns
 * what the module printed, which is JSON.
 */
export function namespaced(module: string, input = ""): unknown {
  const privileges = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
  const command = ["--net", "--mount", ...nodeWithTypeScript, fileURLToPath(new URL(module, import.meta.url))]
  return JSON.parse(execFileSync("unshare", [...privileges, ...command], { encoding: "utf8", input }))
}
