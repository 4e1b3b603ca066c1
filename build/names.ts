import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(fileURLToPath(import.meta.url), "../..")

/** Every plugin, sorted: each has a folder of its name. */
export const pluginNames: readonly string[] = ["plugins", "ipam"]
  .flatMap((layer) => readdirSync(join(root, layer)).filter((name) => existsSync(join(root, layer, name, "plugin.ts"))))
  .sort()
