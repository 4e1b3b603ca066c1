import { host } from "../sys/host.ts"
import { IDENTIFIER_RULE, isIdentifier, quoted } from "./environment.ts"
import { CniError, code, invalidConfig, undecodable } from "./errors.ts"
import { Fields } from "./fields.ts"
import { isObject, type Json, JsonError, parseJson } from "./json.ts"
import type { NetworkConfig } from "./plugin.ts"
import { emptyResult, type Result } from "./result.ts"
import { readResult } from "./result-read.ts"
import { matchVersion, type Version } from "./version.ts"

/** A configuration whose version is not yet matched with the plugin's. */
export type UnmatchedConfig = Omit<NetworkConfig, "cniVersion"> & { readonly cniVersion: string }

const ONE_OBJECT = "the network config on stdin has to be one JSON object"

/** Decodes stdin: throws code 6 if it is no JSON object, 7 if the network's name is missing or dangerous. */
export function readConfig(bytes: Uint8Array): UnmatchedConfig {
  const document = decode(bytes)
  if (!isObject(document)) {
    throw undecodable("the network config", "it is not a JSON object", ONE_OBJECT)
  }
  const fields = new Fields(document)
  const name = fields.string("name") ?? ""
  if (name === "") throw new CniError(code.invalidConfig, "missing network name", 'the config needs a "name"')
  if (!isIdentifier(name)) {
    throw new CniError(
      code.invalidConfig,
      "invalid characters found in network name",
      `${quoted(name)}: ${IDENTIFIER_RULE}`,
    )
  }
  return { name, cniVersion: fields.string("cniVersion") ?? "", fields, bytes }
}

function decode(bytes: Uint8Array): Json {
  try {
    return parseJson(host.decode(bytes))
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const details = encodingProblem(bytes) ?? ONE_OBJECT
    throw new CniError(code.decoding, `cannot decode the network config: ${error.message}`, details, { cause: error })
  }
}

/** Says if stdin has a byte order mark or is in UTF-16, as files of editors on other systems. */
function encodingProblem([first, second, third]: Uint8Array): string | undefined {
  const is = (...bytes: number[]) => bytes.every((byte, at) => [first, second, third][at] === byte)
  if (is(0xef, 0xbb, 0xbf)) return "it begins with a byte order mark: save the file as UTF-8 without one"
  const isWide = is(0xff, 0xfe) || is(0xfe, 0xff) || (second !== undefined && (first === 0) !== (second === 0))
  return isWide ? "it is in UTF-16: save the file as UTF-8" : undefined
}

export function matchConfig(config: UnmatchedConfig, supported: readonly Version[]): NetworkConfig {
  const cniVersion = matchVersion(config.cniVersion, supported)
  return cniVersion === config.cniVersion ? (config as NetworkConfig) : { ...config, cniVersion }
}

/** The result that was read last: an IPAM plugin that is called in this process is given the same one. */
let known: { readonly value: Json; readonly version: Version; readonly result: Result } | undefined

/** Returns the result of the plugins before this one in the chain, or undefined for the first. */
export function readPrevResult({ fields, cniVersion: version }: NetworkConfig): Result | undefined {
  const value = fields.get("prevResult")
  if (value === undefined) return undefined
  if (known?.value !== value || known.version !== version) {
    known = { value, version, result: readResult(value, "prevResult", version) }
  }
  return known.result
}

/** As readPrevResult, for CHECK, which the specification lets no runtime call without. Throws code 7 if there is none. */
export function requirePrevResult(config: NetworkConfig): Result {
  const result = readPrevResult(config)
  if (!result) throw invalidConfig("prevResult", "Required prevResult missing", "CHECK needs the result of ADD")
  return result
}

/** As readPrevResult, for DEL, which must not fail for it. Returns an empty result if there is none or it cannot be read. */
export function readableResult(config: NetworkConfig): Result {
  try {
    return readPrevResult(config) ?? emptyResult
  } catch (error) {
    if (error instanceof CniError) return emptyResult
    throw error
  }
}
