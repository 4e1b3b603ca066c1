import { host } from "./host.ts"
import { checked } from "./system-error.ts"

/** The last digests: one call asks for those of its network and pod again and again. */
const known = new Map<string, string>()
const MAX_KNOWN = 4096

/** Returns the SHA-512 of the text, in lower-case hex. */
export function sha512Hex(text: string): string {
  const found = known.get(text)
  if (found !== undefined) return found
  if (known.size === MAX_KNOWN) known.clear()
  const digest = host.sha512(text)
  known.set(text, digest)
  return digest
}

/** Returns random bytes from the kernel, at most 256. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  checked("get random bytes", host.random(bytes))
  return bytes
}
