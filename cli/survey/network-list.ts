import { CniError } from "../../lib/cni/errors.ts"
import { Fields, readFields } from "../../lib/cni/fields.ts"
import { isObject, type Json, JsonError, type JsonObject, parseJson } from "../../lib/cni/json.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { latest } from "../../lib/cni/version.ts"

/** A network configuration list: a `.conflist`, or a `.conf`, which is a list of one plugin. */
export interface NetworkList {
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly PluginConfig[]
  /** False for a single plugin's configuration, as in a `.conf`. */
  readonly isList: boolean
}

export interface PluginConfig {
  readonly type: string
  readonly fields: Fields
  /** As it was written. */
  readonly json: JsonObject
}

/** Reports that a text is no network configuration list, and the reason. */
export class BadList extends Error {}

/** Reads a network configuration list. Throws BadList. */
export function readNetworkList(text: string): NetworkList {
  try {
    const document = parseJson(text)
    if (!isObject(document)) throw new BadList("the document is no object")
    const list = new Fields(document)
    const [cniVersion, name] = [list.string("cniVersion") ?? "", list.string("name") ?? ""]
    const plugins = list.list("plugins", readPlugin) ?? []
    if (plugins.length === 0 && list.string("type")) plugins.push(readPlugin(document, ""))
    return { cniVersion, name, plugins, isList: list.has("plugins") }
  } catch (error) {
    if (error instanceof JsonError || error instanceof CniError) throw new BadList(error.message)
    throw error
  }
}

function readPlugin(value: Json, path: string): PluginConfig {
  const fields = readFields(value, path)
  return { type: fields.string("type") ?? "", fields, json: isObject(value) ? value : {} }
}

/** Returns the plugin's configuration for the readers of its keys. */
export function configOf(name: string, { fields }: PluginConfig): NetworkConfig {
  return { name, cniVersion: latest, fields, bytes: new Uint8Array() }
}

/** Says what keeps the list from being a network; undefined if nothing does. */
export function problemOf({ cniVersion, name, plugins }: NetworkList): string | undefined {
  if (name === "") return "name is missing"
  if (cniVersion === "") return "cniVersion is missing"
  if (plugins.length === 0) return "plugins is missing"
  return plugins.every(({ type }) => type !== "") ? undefined : "a plugin has no type"
}
