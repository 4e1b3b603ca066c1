import { host } from "./host.ts"
import { checked } from "./system-error.ts"

/** Returns the SHA-512 of the text, in lower-case hex. */
export function sha512Hex(text: string): string {
  return host.sha512(text)
}

/** Returns random bytes from the kernel, at most 256. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  checked("get random bytes", host.random(bytes))
  return bytes
}
