import { readFileSync } from "node:fs"

/** One command of ip, tc or nft as scripts/record-netlink.ts saw it. */
export interface Recording {
  readonly command: string
  readonly errors: string
  /** The last message it sent. */
  readonly request: Uint8Array
  /** Datagrams from the kernel. */
  readonly replies: readonly Uint8Array[]
  /** Its output, if that was JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: the tests know the shape of what ip -j and nft -j print
  readonly output: any
}

interface Stored {
  readonly command: string
  readonly errors: string
  readonly request: string
  readonly replies: readonly string[]
  readonly output?: unknown
}

const netlink = new URL("../netlink/", import.meta.url)
const fixtures = [
  "route/fixtures/iproute2.json",
  "route/fixtures/rule.json",
  "netfilter/fixtures/nft.json",
  "tc/fixtures/tc.json",
]

/** Reads the fixture at that path below lib/netlink. */
export function recordingsIn(fixture: string): Recording[] {
  const { calls } = JSON.parse(readFileSync(new URL(fixture, netlink), "utf8")) as { calls: Stored[] }
  return calls.map(({ request, replies, ...call }) => ({
    ...call,
    output: call.output,
    request: fromHex(request),
    replies: replies.map(fromHex),
  }))
}

export const recordings: readonly Recording[] = fixtures.flatMap(recordingsIn)

/** Returns what was recorded of this command the last time it was run. */
export function recorded(command: string): Recording {
  const found = recordings.findLast((recording) => recording.command === command)
  if (!found) throw new Error(`not recorded: ${command}`)
  return found
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
}
