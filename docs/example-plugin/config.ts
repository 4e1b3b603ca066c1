import { invalidConfig } from "../../lib/cni/errors.ts"
import { readPrefix } from "../../lib/cni/fields.ts"
import type { Json } from "../../lib/cni/json.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { formatPrefix, networkOf, type Prefix } from "../../lib/ip/prefix.ts"

/** The configuration of `deny`. */
export interface DenyConfig {
  /** The networks that pods must not reach. */
  readonly to: readonly Prefix[]
}

/** Reads and checks the configuration; throws code 7 that names the key. */
export function readDenyConfig({ fields }: NetworkConfig): DenyConfig {
  return { to: fields.list("to", readNetwork) ?? [] }
}

function readNetwork(value: Json, path: string): Prefix {
  const prefix = readPrefix(value, path)
  if (prefix.length > 0) return networkOf(prefix)
  throw invalidConfig(path, `${formatPrefix(prefix)} is every address`, "name the networks that pods must not reach")
}
