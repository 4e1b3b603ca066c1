import { createHash, randomFillSync } from "node:crypto"
import { constants } from "node:os"
import type { Host } from "../host.ts"

const { EINVAL } = constants.errno

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** getrandom(2) fills so many bytes whole, whatever signal comes. */
const MOST_RANDOM = 256

/** Text, digests and random numbers. */
export const text = {
  encode: (text) => encoder.encode(text) as Uint8Array<ArrayBuffer>,
  decode: (bytes) => decoder.decode(bytes),
  sha512: (text) => createHash("sha512").update(encoder.encode(text)).digest("hex"),
  random(buffer) {
    if (buffer.length > MOST_RANDOM) return -EINVAL
    randomFillSync(buffer)
    return buffer.length
  },
} satisfies Partial<Host>
