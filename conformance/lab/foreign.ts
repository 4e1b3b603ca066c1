import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Node } from "./node.ts"

/** A plugin that is none of ours: a shell script in a directory of the node's own, which it returns. */
export function install(node: Node, directory: string, script: string, name = "foreign"): string {
  const path = join(node.dir, directory)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(path, name), 0o755)
  return path
}
