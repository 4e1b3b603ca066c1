import { readAll } from "./file.ts"
import { host } from "./host.ts"
import { checked, failedWith } from "./system-error.ts"
import { TimedOut } from "./timed-out.ts"
import { timeoutSeconds } from "./timeout.ts"

/** Ample: a runtime has the configuration ready when it starts the plugin. */
const STDIN_TIMEOUT_SECONDS = 30

/** Reads stdin to its end. Throws TimedOut after half a minute. */
export function readStdin(): Uint8Array {
  const seconds = timeoutSeconds(STDIN_TIMEOUT_SECONDS)
  const end = host.uptime() + seconds * 1000
  return readAll(0, "stdin", { before: () => awaitStdin(Math.max(0, end - host.uptime()), seconds) })
}

function awaitStdin(milliseconds: number, seconds: number): void {
  try {
    checked("wait for stdin", host.awaitInput(0, milliseconds))
  } catch (error) {
    if (!failedWith(error, "ETIMEDOUT")) throw error
    throw new TimedOut(`stdin did not end within ${seconds} seconds`, "the runtime has to close it behind the config")
  }
}
