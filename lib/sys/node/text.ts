import { createHash, randomFillSync } from "node:crypto"
import type { Host } from "../host.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Text, digests and random numbers. */
export const text = {
  encode: (text) => encoder.encode(text) as Uint8Array<ArrayBuffer>,
  decode: (bytes) => decoder.decode(bytes),
  hasBytes: (bytes, at, part) =>
    at >= 0 && at + part.length <= bytes.length && part.every((byte, index) => bytes[at + index] === byte),
  hasOddNumber: (json) => /\d[.eE]|\d{16}/.test(withoutStrings(json)),
  fnv1a: (text) => encoder.encode(text).reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), 0x811c9dc5) >>> 0,
  sha512: (text) => createHash("sha512").update(encoder.encode(text)).digest("hex"),
  random(buffer) {
    randomFillSync(buffer)
    return buffer.length
  },
} satisfies Partial<Host>

/** Returns a JSON text with its strings emptied. */
function withoutStrings(json: string): string {
  const outside: string[] = []
  let at = 0
  for (let start = json.indexOf('"'); start >= 0; start = json.indexOf('"', at)) {
    outside.push(json.slice(at, start))
    at = endOfString(json, start + 1)
  }
  return [...outside, json.slice(at)].join('""')
}

function endOfString(json: string, start: number): number {
  for (let at = start; at < json.length; at++) {
    if (json[at] === "\\") at++
    else if (json[at] === '"') return at + 1
  }
  return json.length
}
