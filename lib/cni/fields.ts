import { type Address, parseAddress } from "../ip/address.ts"
import { type Prefix, parsePrefix } from "../ip/prefix.ts"
import { host } from "../sys/host.ts"
import { type CniError, invalidConfig, undecodable } from "./errors.ts"
import { isObject, type Json, type JsonObject, ODD, oddNumber } from "./json.ts"

/**
 * Reads one JSON object key by key, the way Go's decoder does: keys match in any case, null and absent are the same, a value of another type
 * is an error that names its path. Of keys that differ in case only the exactly spelled one counts, or else the last.
 */
export class Fields {
  /** The object's path in the document; empty for the document itself. */
  readonly path: string
  readonly #object: JsonObject

  constructor(object: JsonObject, path = "") {
    this.path = path
    this.#object = object
  }

  /** Returns the value of `key`, or undefined if it is absent or null. */
  get(key: string): Json | undefined {
    return host.member(this.#object, key) as Json | undefined
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  pathOf(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`
  }

  string(key: string): string | undefined {
    return this.#read(key, readString)
  }

  boolean(key: string): boolean | undefined {
    return this.#read(key, readBoolean)
  }

  /** Returns true if the key is there and true. */
  flag(key: string): boolean {
    return this.#read(key, readBoolean) ?? false
  }

  /** Reads a whole number; JavaScript's safe range and `limits` bound it. */
  integer(key: string, limits = NO_LIMITS): number | undefined {
    const value = this.get(key)
    return value === undefined ? undefined : readInteger(value, this.pathOf(key), limits)
  }

  address(key: string): Address | undefined {
    return this.#read(key, readAddress)
  }

  prefix(key: string): Prefix | undefined {
    return this.#read(key, readPrefix)
  }

  fields(key: string): Fields | undefined {
    return this.#read(key, readFields)
  }

  /** Reads every element of a list by `read`; undefined if there is no list. */
  list<Item>(key: string, read: Reader<Item>): Item[] | undefined {
    const value = this.get(key)
    return value === undefined ? undefined : readList(value, this.pathOf(key), read)
  }

  strings(key: string): string[] {
    return this.list(key, readString) ?? []
  }

  /** Every value of an object through `read`, by its key, those that are null left out; undefined if there is no object. */
  record<Item>(key: string, read: Reader<Item>): ReadonlyMap<string, Item> | undefined {
    return this.#read(key, (value, path) => readRecord(value, path, read))
  }

  #read<Value>(key: string, read: Reader<Value>): Value | undefined {
    const value = host.member(this.#object, key) as Json | undefined
    return value === undefined ? undefined : read(value, this.pathOf(key))
  }
}

/** Turns a value at `path` into what it means, or throws naming the path. */
export type Reader<Value> = (value: Json, path: string) => Value

export interface Limits {
  readonly min?: number
  readonly max?: number
}

const NO_LIMITS: Limits = {}

export function readString(value: Json, path: string): string {
  if (typeof value !== "string" || value.startsWith(ODD)) throw wrongType(path, "a string", value)
  return value
}

export function readFields(value: Json, path: string): Fields {
  if (!isObject(value)) throw wrongType(path, "an object", value)
  return new Fields(value, path)
}

function readRecord<Item>(value: Json, path: string, read: Reader<Item>): ReadonlyMap<string, Item> {
  if (!isObject(value)) throw wrongType(path, "an object", value)
  const given = Object.entries(value).filter(([, item]) => item !== null)
  return new Map(given.map(([key, item]) => [key, read(item, `${path}.${key}`)]))
}

export function readList<Item>(value: Json, path: string, read: Reader<Item>): Item[] {
  if (!Array.isArray(value)) throw wrongType(path, "a list", value)
  return value.map((item, index) => read(item, `${path}[${index}]`))
}

function readBoolean(value: Json, path: string): boolean {
  if (typeof value !== "boolean") throw wrongType(path, "true or false", value)
  return value
}

export function readInteger(value: Json, path: string, limits: Limits): number {
  const digits = oddNumber(value) ?? String(value)
  const whole = typeof value === "number" || (oddNumber(value) !== undefined && /^-?\d+$/.test(digits))
  if (!whole) throw wrongType(path, "a whole number", value)
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = limits
  const number = Number(digits)
  if (number < min || number > max) throw invalidConfig(path, `${shorten(digits)} is not between ${min} and ${max}`)
  return number
}

/** Reads an address; the empty string means none, as it does to Go. */
export function readAddress(value: Json, path: string): Address | undefined {
  const text = readString(value, path)
  const address = parseAddress(text)
  if (!address && text !== "") throw invalidConfig(path, `${shorten(JSON.stringify(text))} is not an IP address`)
  return address
}

export function readPrefix(value: Json, path: string): Prefix {
  const text = readString(value, path)
  const prefix = parsePrefix(text)
  if (!prefix) throw invalidConfig(path, `${shorten(JSON.stringify(text))} is not an address with a prefix length`)
  return prefix
}

function wrongType(path: string, expected: string, value: Json): CniError {
  return undecodable(path, `expected ${expected}, got ${describe(value)}`)
}

function describe(value: Json): string {
  if (value === null) return "null"
  if (Array.isArray(value)) return "a list"
  if (isObject(value)) return "an object"
  const number = typeof value === "number" ? String(value) : oddNumber(value)
  if (number !== undefined) return `the number ${shorten(number)}`
  return typeof value === "string" ? `the string ${shorten(JSON.stringify(value))}` : String(value)
}

function shorten(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}...` : text
}
