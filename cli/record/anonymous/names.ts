import { isObject, type Json } from "../../../lib/cni/json.ts"
import { parseAddress } from "../../../lib/ip/address.ts"
import { parseMac } from "../../../lib/ip/mac.ts"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import type { RecordedCall } from "../recorded-call.ts"

/** A kind of words, each of which is called so afterwards, with a number. */
type Kind = "container" | "domain" | "namespace" | "netns" | "network" | "pod" | "secret" | "text" | "uid"

/** Words that say nothing of the node, or without which a call would be another one. */
const PLAIN = /^(?:|true|false|default|kube-system|kube-public|ADD|DEL|CHECK|GC|STATUS|VERSION|\d+|\d+\.\d+\.\d+)$/

/** Keys of configurations whose values are nobody's business. */
const SECRET = /passw|secret|token|credential|auth|(?:^|[_-]|[a-z])key$/i

const POD_ARGS: Readonly<Record<string, Kind>> = {
  K8S_POD_NAME: "pod",
  K8S_POD_NAMESPACE: "namespace",
  K8S_POD_UID: "uid",
  K8S_POD_INFRA_CONTAINER_ID: "container",
}

/** Other words for the names in a recording, the same for the same. */
export class Names {
  /** By original. */
  readonly words = new Map<string, string>()
  /** Plugins keep their names. */
  readonly #plugins = new Set<string>()
  readonly #counts = new Map<Kind, number>()

  /** Finds the names in a call; `documents` are those on its stdin and stdout. */
  learn({ plugin, env }: RecordedCall, documents: readonly Json[]): void {
    this.#plugins.add(plugin)
    this.#add("container", env["CNI_CONTAINERID"])
    this.#add("netns", /^(?:\/var)?\/run\/.*?([^/]+)$/.exec(env["CNI_NETNS"] ?? "")?.[1])
    for (const pair of (env["CNI_ARGS"] ?? "").split(";")) {
      const [key = "", value] = pair.split("=")
      if (key !== "IgnoreUnknown") this.#add(POD_ARGS[key] ?? "text", value)
    }
    for (const document of documents) this.#learnValue(document, [])
  }

  #learnValue(value: Json, path: readonly string[]): void {
    if (Array.isArray(value)) for (const item of value) this.#learnValue(item, path)
    else if (value !== null && typeof value === "object" && isObject(value))
      for (const [key, inner] of Object.entries(value)) this.#learnValue(inner, [...path, key])
    else if (typeof value === "string") this.#learnText(value, path)
  }

  #learnText(text: string, path: readonly string[]): void {
    const key = path.at(-1) ?? ""
    if (key === "type") this.#plugins.add(text)
    else if (SECRET.test(key)) this.#add("secret", text)
    else if (key === "containerID") this.#add("container", text)
    else if (/^(?:domain|search|searches)$/i.test(key)) this.#add("domain", text)
    else if (key === "name" && !path.includes("interfaces")) this.#add("network", text)
    else if (path.some((each) => each === "args" || /annotations|labels/.test(each))) this.#add("text", text)
  }

  #add(kind: Kind, word: string | undefined): void {
    if (word === undefined || PLAIN.test(word) || this.words.has(word) || isAddress(word)) return
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    this.words.set(word, `${kind}-${count}`)
  }

  /** Returns what replaces names in a text. */
  replacer(): (text: string) => string {
    const words = [...this.words.keys()].filter((word) => !this.#plugins.has(word)).sort((a, b) => b.length - a.length)
    if (words.length === 0) return (text) => text
    const pattern = words.map((word) => word.replace(/[^\w/]/g, "\\$&")).join("|")
    const expression = new RegExp(`(?<![A-Za-z0-9])(?:${pattern})(?![A-Za-z0-9])`, "g")
    return (text) => text.replace(expression, (word) => this.words.get(word) ?? word)
  }
}

function isAddress(text: string): boolean {
  return [parseAddress, parsePrefix, parseMac].some((parse) => parse(text) !== undefined)
}
