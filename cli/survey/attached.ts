import type { Attachment } from "../../lib/cni/attachment.ts"
import { CniError } from "../../lib/cni/errors.ts"
import { type Fields, readFields } from "../../lib/cni/fields.ts"
import { isObject, type Json, JsonError, type JsonObject, parseJson } from "../../lib/cni/json.ts"
import { emptyResult, type Result } from "../../lib/cni/result.ts"
import { readDelegatedResult } from "../../lib/cni/result-read.ts"
import { latest } from "../../lib/cni/version.ts"
import type { Family } from "../../lib/ip/address.ts"
import { listDirectory, readNamed, unlessMissing } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { decodeBase64 } from "./base64.ts"
import { BadList, type NetworkList, readNetworkList } from "./network-list.ts"

/** An attachment as its runtime remembers it: libcni keeps, for DEL, what ADD was called with and answered, whatever the plugins. */
export interface Attached extends Attachment {
  /** The path of the pod's network namespace; empty if the runtime did not note it. */
  readonly netns: string
  /** `namespace/name` of the pod, or what else the runtime calls the container. */
  readonly pod: string
  /** The network as it was then; undefined if it cannot be read. */
  readonly list: NetworkList | undefined
  readonly result: Result
  /** Values of the runtime for each capability, such as `portMappings`. */
  readonly capabilities: Fields
  /** The result and the capabilities, as they were written. */
  readonly json: { readonly result: Json; readonly capabilities: JsonObject }
  /** The file. */
  readonly path: string
}

/** A file of the cache that cannot be read: half-written, or of another kind. */
export interface UnreadableEntry {
  readonly path: string
  readonly problem: string
}

export interface Cache {
  readonly attached: readonly Attached[]
  readonly unreadable: readonly UnreadableEntry[]
}

const MAX_ENTRY_BYTES = 4 << 20

/** Reads libcni's cache; empty if the directory is missing. Entries that vanish meanwhile are no more. */
export function readCache(directory: string): Cache {
  const [attached, unreadable] = [[] as Attached[], [] as UnreadableEntry[]]
  const lists = new Map<string, NetworkList | undefined>()
  for (const name of (unlessMissing(() => listDirectory(directory)) ?? []).sort()) {
    const path = `${directory}/${name}`
    try {
      const text = unlessMissing(() => readNamed(path, MAX_ENTRY_BYTES))
      const entry = text === undefined ? undefined : readEntry(parseJson(text), path, lists)
      if (entry) attached.push(entry)
    } catch (error) {
      if (!(error instanceof JsonError || error instanceof CniError || error instanceof SystemError)) throw error
      unreadable.push({ path, problem: error.message })
    }
  }
  return { attached: attached.sort(byPod), unreadable }
}

function byPod(a: Attached, b: Attached): number {
  const [left, right] = [a, b].map(({ pod, network, ifname }) => `${pod} ${network} ${ifname}`) as [string, string]
  return left < right ? -1 : 1
}

/**
 * Reads an entry of libcni since 0.7; undefined for an older one, which is the result alone and does not say of what. `lists` are the networks
 * that others have been attached to, by their text: most pods' is the same.
 */
function readEntry(value: Json, path: string, lists: Map<string, NetworkList | undefined>): Attached | undefined {
  const entry = readFields(value, "")
  if (entry.string("kind") !== "cniCacheV1") return undefined
  const containerId = entry.string("containerId") || ""
  if (containerId === "") throw new JsonError("containerId is missing")
  const [result, given] = [entry.get("result"), entry.get("capabilityArgs") ?? null]
  const capabilities = isObject(given) ? given : {}
  return {
    network: entry.string("networkName") ?? "",
    containerId,
    ifname: entry.string("ifName") ?? "",
    netns: entry.string("netns") || sandboxIn(entry),
    pod: podIn(entry) ?? containerId.slice(0, 12),
    list: listIn(entry.string("config") ?? "", lists),
    result: result === undefined ? emptyResult : readDelegatedResult(result, "result", latest),
    capabilities: readFields(capabilities, "capabilityArgs"),
    json: { result: result ?? null, capabilities },
    path,
  }
}

function sandboxIn(entry: Fields): string {
  const interfaces = entry.fields("result")?.list("interfaces", (value, path) => readFields(value, path)) ?? []
  return interfaces.map((link) => link.string("sandbox")).find(Boolean) ?? ""
}

function podIn(entry: Fields): string | undefined {
  const args = new Map(entry.list("cniArgs", readPair) ?? [])
  const [namespace, name] = [args.get("K8S_POD_NAMESPACE"), args.get("K8S_POD_NAME")]
  return namespace && name && namespace !== name ? `${namespace}/${name}` : name
}

function readPair(value: Json): [string, string] {
  const [key, text] = Array.isArray(value) ? value : []
  return [String(key), String(text)]
}

function listIn(config: string, known: Map<string, NetworkList | undefined>): NetworkList | undefined {
  if (!known.has(config)) known.set(config, decodeList(config))
  return known.get(config)
}

function decodeList(config: string): NetworkList | undefined {
  try {
    return readNetworkList(host.decode(decodeBase64(config)))
  } catch (error) {
    if (error instanceof BadList) return undefined
    throw error
  }
}

/** Says if the node is the pod's gateway in that family. */
export function isRouted({ list, result }: Attached, family: Family): boolean {
  const ofNode = list?.plugins.some(
    ({ type, fields }) =>
      type === "ptp" || (type === "bridge" && [fields.get("isGateway"), fields.get("isDefaultGateway")].includes(true)),
  )
  return ofNode === true && result.ips.some(({ gateway }) => gateway?.family === family)
}
