import { readPlace } from "../../ipam/host-local/config.ts"
import { indexDirectory, leaseDirectory } from "../../ipam/host-local/leases/lease-directory.ts"
import { isObject, type JsonObject } from "../../lib/cni/json.ts"
import { configOf, type NetworkList, type PluginConfig } from "../survey/network-list.ts"
import { SCRATCH } from "../unshared.ts"
import { type CopiedDirectory, copyTree } from "./files.ts"
import { POD } from "./scratch.ts"

/** The directories in which a list's plugins keep files. */
export interface PluginFiles {
  readonly directories: readonly CopiedDirectory[]
  /** Returns those that this plugin of the list uses. */
  readonly of: (plugin: PluginConfig) => readonly CopiedDirectory[]
  /** Returns a plugin's text with the names that the directories and the pod have outside of the rehearsal. */
  readonly named: (text: string) => string
}

const TUNING = "/run/cni/tuning"

/**
 * Copies, for the list's plugins, what is in their directories; of leases those of the network. `pod` is the path of its namespace on the
 * node. Throws CniError or SystemError.
 */
export function copyPluginFiles(list: NetworkList, pod: string): PluginFiles {
  const directories: CopiedDirectory[] = []
  const users = new Map<PluginConfig, CopiedDirectory[]>()
  const add = (plugin: PluginConfig, path: string): CopiedDirectory => {
    const known = directories.find((directory) => directory.path === path)
    const directory = known ?? { path, copy: `${SCRATCH}/files/${directories.length}` }
    if (!known) directories.push(directory)
    users.set(plugin, [...(users.get(plugin) ?? []), directory])
    return directory
  }
  for (const plugin of list.plugins) {
    if (plugin.fields.fields("ipam")?.string("type") === "host-local") {
      const place = readPlace(configOf(list.name, plugin))
      const { copy } = add(plugin, place.dataDir)
      const there = { ...place, dataDir: copy }
      for (const directoryOf of [leaseDirectory, indexDirectory]) copyTree(directoryOf(place), directoryOf(there))
    }
    const own = tuningDirectory(plugin)
    if (own !== undefined) copyTree(own, add(plugin, own).copy)
  }
  const named = (text: string) =>
    directories.reduce((words, { path, copy }) => words.replaceAll(copy, path), text.replaceAll(POD, pod))
  return { directories, of: (plugin) => users.get(plugin) ?? [], named }
}

function tuningDirectory({ type, fields }: PluginConfig): string | undefined {
  return type === "tuning" ? fields.string("dataDir") || TUNING : undefined
}

/** Returns the plugin's configuration with the copies in the place of its directories. */
export function redirected(plugin: PluginConfig, { directories }: PluginFiles, list: NetworkList): JsonObject {
  const copyOf = (path: string) => directories.find((directory) => directory.path === path)?.copy ?? path
  const own = tuningDirectory(plugin)
  const ipam = plugin.json["ipam"] ?? null
  const isLeased = plugin.fields.fields("ipam")?.string("type") === "host-local"
  return {
    ...plugin.json,
    ...(own === undefined ? {} : { dataDir: copyOf(own) }),
    ...(isLeased && isObject(ipam)
      ? { ipam: { ...ipam, dataDir: copyOf(readPlace(configOf(list.name, plugin)).dataDir) } }
      : {}),
  }
}
