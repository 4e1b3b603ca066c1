import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { setTimeout } from "node:timers/promises"

/**
 * As later releases of Debian have it, in a package of its own, and Debian 12, with qemu. The former bears the latter's name as well. It tells
 * the guest which directories are other file systems unless it is told not to; over those, such as a /run in memory, the guest could mount nothing.
 */
const PROGRAMS = [["/usr/libexec/virtiofsd", "--no-announce-submounts"], ["/usr/lib/qemu/virtiofsd"]] as const

/** Shows this machine's files to one VM; ends with it, with this process, or when disposed. */
export class FileServer implements Disposable {
  readonly socket: string
  readonly #process: ChildProcess

  constructor(socket: string, process: ChildProcess) {
    this.socket = socket
    this.#process = process
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL")
  }
}

/** Starts a server that waits for the VM at `socket`. */
export async function serveFiles(socket: string): Promise<FileServer> {
  const program = PROGRAMS.find(([path]) => existsSync(path))
  if (program === undefined) throw new Error(`no virtiofsd: run conformance/systems/vm/prepare as root`)
  // A root directory cannot be pivoted to. The guest may believe that no file changes while it runs.
  const options = ["-o", "source=/,sandbox=chroot,cache=always"]
  const argv = ["--pdeathsig", "KILL", "--", ...program, `--socket-path=${socket}`, ...options]
  const server = spawn("setpriv", argv, { stdio: ["ignore", "ignore", "pipe"] })
  let said = ""
  server.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text
  })
  while (!existsSync(socket)) {
    if (server.exitCode !== null) throw new Error(`virtiofsd ended: ${said}`)
    await setTimeout(20)
  }
  return new FileServer(socket, server)
}
