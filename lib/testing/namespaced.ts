import { execFileSync } from "node:child_process"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"

/**
 * Runs a module of this folder as a process of its own, privileged in a network namespace of its own, in which `lo` is down; answers
 * what the module printed, which is JSON.
 */
export function namespaced(module: string): unknown {
  const privileges = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]
  const tsx = createRequire(import.meta.url).resolve("tsx/cli")
  const command = ["--net", process.execPath, tsx, fileURLToPath(new URL(module, import.meta.url))]
  return JSON.parse(execFileSync("unshare", [...privileges, ...command], { encoding: "utf8" }))
}
