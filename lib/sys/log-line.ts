import { dlopen } from "bun:ffi"
import { Descriptor } from "./file.ts"
import { checked, cString, libc } from "./libc.ts"
import { O_APPEND, O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } from "./open-flags.ts"

// socket.h
const AF_UNIX = 1
const SOCK_DGRAM = 2

const encoder = new TextEncoder()

/**
 * Appends the line in one write, which keeps it apart from those that others append to the same file at the same time. The file is
 * made if it is missing, mode 0600; a symbolic link is not followed, a pipe that nobody reads not waited for. Throws SystemError.
 */
export function appendLine(path: string, line: string): void {
  if (!path.startsWith("/")) return // the working directory is the runtime's
  const name = cString(path)
  const bytes = encoder.encode(`${line}\n`)
  const flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
  using file = new Descriptor(checked(`open ${path}`, libc.open(name, flags, 0o600)))
  checked(`write ${path}`, libc.write(file.fd, bytes, bytes.length))
}

/** Sends the line to the journal by its own protocol, without waiting for it. Throws SystemError. */
export function sendToJournal(socket: string, line: string, isError: boolean): void {
  const { symbols } = dlopen("libc.so.6", { connect: { args: ["i32", "ptr", "u32"], returns: "i32" } })
  const path = cString(socket)
  const address = new Uint8Array(2 + path.length) // struct sockaddr_un
  new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX
  address.set(path, 2)
  const bytes = encoder.encode(`MESSAGE=${line}\nPRIORITY=${isError ? 3 : 6}\nSYSLOG_IDENTIFIER=cni-ts\n`)
  using file = new Descriptor(checked("open a socket", libc.socket(AF_UNIX, SOCK_DGRAM | O_NONBLOCK | O_CLOEXEC, 0)))
  checked(`connect to ${socket}`, symbols.connect(file.fd, address, address.length))
  checked(`send to ${socket}`, libc.send(file.fd, bytes, bytes.length, 0))
}
