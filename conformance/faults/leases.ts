import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { Node } from "../lab/node.ts"

/** Every lease of the network `net` as `address: content`, sorted. */
export function readLeases(node: Node): string[] {
  const directory = join(node.dir, "ipam/net")
  if (!existsSync(directory)) return []
  const names = readdirSync(directory).filter((name) => /^[0-9a-f.:]+$/.test(name))
  return names.map((name) => `${name}: ${readFileSync(join(directory, name), "utf8")}`).sort()
}
