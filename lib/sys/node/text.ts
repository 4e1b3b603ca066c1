import { createHash, randomFillSync } from "node:crypto"
import { isIPv4 } from "node:net"
import type { Host } from "../host.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Text, digests and random numbers. */
export const text = {
  encode: (text) => encoder.encode(text) as Uint8Array<ArrayBuffer>,
  decode: (bytes) => decoder.decode(bytes),
  hasBytes: (bytes, at, part) =>
    at >= 0 && at + part.length <= bytes.length && part.every((byte, index) => bytes[at + index] === byte),
  fnv1a: (text) => encoder.encode(text).reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), 0x811c9dc5) >>> 0,
  hex: (bytes, between) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(between),
  parseIPv4: (text) => (isIPv4(text) ? text.split(".").reduce((value, part) => value * 256 + Number(part), 0) : -1),
  formatIPv4: (address) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join("."),
  sha512: (text) => createHash("sha512").update(encoder.encode(text)).digest("hex"),
  random(buffer) {
    randomFillSync(buffer)
    return buffer.length
  },
} satisfies Partial<Host>
