import { checked, libc } from "./libc.ts"

/** SHA-512 of the text, in lower-case hex. */
export function sha512Hex(text: string): string {
  return new Bun.CryptoHasher("sha512").update(text).digest("hex")
}

/** At most 256 bytes from the kernel's generator. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  checked("get random bytes", libc.getrandom(bytes, length, 0))
  return bytes
}
