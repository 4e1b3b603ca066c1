import { createHash, randomFillSync } from "node:crypto"
import type { Host } from "../host.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Text, digests and random numbers. */
export const text = {
  encode: (text) => encoder.encode(text) as Uint8Array<ArrayBuffer>,
  decode: (bytes) => decoder.decode(bytes),
  sha512: (text) => createHash("sha512").update(encoder.encode(text)).digest("hex"),
  random(buffer) {
    randomFillSync(buffer)
    return buffer.length
  },
} satisfies Partial<Host>
