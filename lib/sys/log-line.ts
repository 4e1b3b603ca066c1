import { openFile } from "./file.ts"
import { host } from "./host.ts"
import { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } from "./open-flags.ts"
import { checked } from "./system-error.ts"

/**
 * Appends the line in one write, so that it does not mix with lines of others. Makes the file, mode 0600, if it is missing. Follows no
 * symbolic link, and does not wait for a reader of a pipe. Throws SystemError.
 */
export function appendLine(path: string, line: string): void {
  if (!path.startsWith("/")) return // the working directory is the runtime's
  using file = openFile(path, O_WRONLY | O_APPEND | O_CREAT | host.O_NOFOLLOW | O_NONBLOCK, 0o600)
  checked(`write ${path}`, host.write(file.fd, host.encode(`${line}\n`)))
}

/** Sends the line to the journal by its own protocol, without waiting for it. Throws SystemError. */
export function sendToJournal(socket: string, line: string, isError: boolean): void {
  const entry = `MESSAGE=${line}\nPRIORITY=${isError ? 3 : 6}\nSYSLOG_IDENTIFIER=cni-ts\n`
  checked(`send to ${socket}`, host.sendTo(socket, host.encode(entry)))
}
