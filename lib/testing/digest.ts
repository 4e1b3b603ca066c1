import { createHash, randomBytes as random } from "node:crypto"

/** What lib/sys/digest.ts does with Bun, done with Node.js, where the tests run. */
export function sha512Hex(text: string): string {
  return createHash("sha512").update(text).digest("hex")
}

export function randomBytes(length: number): Uint8Array {
  return new Uint8Array(random(length))
}
