import { readLink } from "../lib/sys/file.ts"
import { variable } from "../lib/sys/process.ts"
import { SystemError } from "../lib/sys/system-error.ts"

/** Each returns the text so that a terminal shows it in that way. */
export interface Colours {
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
}

const plain = (text: string) => text
const none: Colours = { red: plain, green: plain, yellow: plain, bold: plain, dim: plain }

const coded = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`
const all: Colours = { red: coded(31), green: coded(32), yellow: coded(33), bold: coded(1), dim: coded(2) }

let chosen: Colours | undefined

/** Returns colours if stdout is a terminal, and NO_COLOR is not set. */
export function colours(): Colours {
  chosen ??= isTerminal() && !variable("NO_COLOR") ? all : none
  return chosen
}

function isTerminal(): boolean {
  try {
    return /^\/dev\/(?:pts\/|tty)/.test(readLink("/proc/self/fd/1"))
  } catch (error) {
    if (error instanceof SystemError) return false
    throw error
  }
}
