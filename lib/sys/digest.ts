/** SHA-512 of the text, in lower-case hex. */
export function sha512Hex(text: string): string {
  return new Bun.CryptoHasher("sha512").update(text).digest("hex")
}

export function randomBytes(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length))
}
