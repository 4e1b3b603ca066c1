import { readAll } from "./file.ts"
import { host } from "./host.ts"
import { patience } from "./patience.ts"
import { checked, failedWith } from "./system-error.ts"
import { TimedOut } from "./timed-out.ts"

/** What a runtime writes it has ready. */
const TIMEOUT_SECONDS = 30

/** Reads stdin to its end, for half a minute at most; then throws TimedOut. */
export function readStdin(): Uint8Array {
  const seconds = patience(TIMEOUT_SECONDS)
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
