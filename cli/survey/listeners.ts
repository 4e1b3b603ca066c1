import { type Address, addressFromBytes } from "../../lib/ip/address.ts"
import { listDirectory, openRead, readLink, readText, unlessMissing } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { checked, SystemError } from "../../lib/sys/system-error.ts"

/** A socket of a process of the node that waits for others. */
export interface Listener {
  readonly protocol: "tcp" | "udp"
  /** All zeros if it is any address of the node. */
  readonly address: Address
  readonly port: number
  /** The number of the socket, by which its process is found. */
  readonly inode: string
}

/** Files of /proc/net, and the state of sockets that wait: TCP_LISTEN; TCP_CLOSE for UDP, which is not connected. */
const files = [
  { name: "tcp", protocol: "tcp", state: "0A" },
  { name: "tcp6", protocol: "tcp", state: "0A" },
  { name: "udp", protocol: "udp", state: "07" },
  { name: "udp6", protocol: "udp", state: "07" },
] as const

/** Lists the sockets of the node's network namespace that wait for others. Throws SystemError. */
export function listListeners(): Listener[] {
  return files.flatMap(({ name, protocol, state }) => {
    const lines = unlessMissing(() =>
      linesOf(`/proc/net/${name}`, (line) => protocol === "tcp" && stateOf(line) !== state),
    )
    return (lines ?? []).filter((line) => stateOf(line) === state).flatMap((line) => listenerIn(line, protocol) ?? [])
  })
}

const stateOf = (line: string) => line.trim().split(/\s+/, 4)[3]

/** Reads lines up to the first for which `ends` is true: the kernel lists TCP sockets that wait before thousands that do not. */
function linesOf(path: string, ends: (line: string) => boolean): string[] {
  using file = openRead(path)
  const buffer = new Uint8Array(1 << 16)
  const lines: string[] = []
  let rest = ""
  for (;;) {
    const count = checked(`read ${path}`, host.read(file.fd, buffer))
    if (count === 0) return lines.slice(1)
    const parts = (rest + host.decode(buffer.subarray(0, count))).split("\n")
    rest = parts.pop() ?? ""
    for (const line of parts) {
      if (lines.length > 0 && ends(line)) return lines.slice(1)
      lines.push(line)
    }
  }
}

/** `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 ...` */
function listenerIn(line: string, protocol: Listener["protocol"]): Listener | undefined {
  const words = line.trim().split(/\s+/)
  const [digits = "", port = ""] = (words[1] ?? "").split(":")
  const address = addressFromBytes(bytesOf(digits))
  return address && { protocol, address, port: Number.parseInt(port, 16), inode: words[9] ?? "" }
}

/** Reads words of 32 bits in the order of the host. */
function bytesOf(digits: string): Uint8Array {
  const bytes = digits.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? []
  return Uint8Array.from(bytes, (_, at) => bytes[(at & ~3) + 3 - (at & 3)] ?? 0)
}

/** Returns the name and number of a process that has the socket open; undefined if none is seen. */
export function holderOf({ inode }: Listener): { readonly name: string; readonly pid: string } | undefined {
  const target = `socket:[${inode}]`
  for (const pid of listDirectory("/proc").filter((name) => /^\d+$/.test(name))) {
    const path = `/proc/${pid}`
    const holds = unlessHidden(() => listDirectory(`${path}/fd`))?.some(
      (fd) => unlessHidden(() => readLink(`${path}/fd/${fd}`)) === target,
    )
    const name = holds ? unlessHidden(() => readText(`${path}/comm`).trim()) : undefined
    if (name !== undefined) return { name, pid }
  }
  return undefined
}

/** Returns undefined for processes that have ended, or are others' to look at. */
function unlessHidden<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
