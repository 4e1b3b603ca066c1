import { host } from "../../lib/sys/host.ts"

/** Returns bytes that nobody guesses. */
export function random(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  host.random(bytes)
  return bytes
}

/** Returns sixteen bits that nobody guesses. */
export function randomId(): number {
  const [high = 0, low = 0] = random(2)
  return (high << 8) | low
}
