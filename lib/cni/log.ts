import { host } from "../sys/host.ts"
import { appendLine, sendToJournal } from "../sys/log-line.ts"
import { writeStderr } from "../sys/process.ts"
import type { UnmatchedConfig } from "./config.ts"
import type { CniError } from "./errors.ts"
import { printCallReport } from "./log-record.ts"

/** What a call tells the operator beside its result. Nothing here can fail, or make the call fail. */
export interface Log {
  /**
   * Something was removed that the call did not name: stale things that GC found, a dead pod's lease that ADD took back.
   * `what` and `reason` are one line; what others may have written is quoted in them.
   */
  removed(what: string, reason: string): void
  /** Something about the call that its answer does not say; one line. */
  noticed(words: string): void
  /** Does `step`, and adds the time it takes to that phase of the call. */
  timed<Value>(phase: string, step: () => Value): Value
}

const JOURNAL = "/run/systemd/journal/socket"

/**
 * The log of one call. Removals are said on stderr at once, where the runtime's own log has them. One line about the whole call
 * goes where the configuration's `cniTsLog` or the environment's CNI_TS_LOG says: a file, `journald`, or `journald:` and a
 * socket. Without either nothing is measured or kept.
 */
export class CallLog implements Log {
  readonly #plugin: string
  readonly #variables: Readonly<Record<string, string | undefined>>
  #destination: string
  #network: string | undefined
  readonly #removed: string[] = []
  readonly #noticed = new Set<string>()
  readonly #phases: Record<string, number> = {}

  constructor(plugin: string, variables: Readonly<Record<string, string | undefined>>) {
    this.#plugin = plugin
    this.#variables = variables
    this.#destination = variables["CNI_TS_LOG"] ?? ""
    if (this.#destination !== "") this.#phases["start"] = host.uptime()
  }

  /** The configuration has been read; it may say where to log. */
  configured({ name, fields }: UnmatchedConfig): void {
    const destination = fields.get("cniTsLog")
    if (typeof destination === "string") this.#destination = destination
    this.#network = name
  }

  removed(what: string, reason: string): void {
    writeStderr(`cni-ts ${this.#plugin}: removed ${what}: ${reason}\n`)
    if (this.#destination !== "") this.#removed.push(`${what}: ${reason}`)
  }

  /** Said once, also if a delegate inside this process notices it too. */
  noticed(words: string): void {
    if (this.#noticed.has(words)) return
    this.#noticed.add(words)
    writeStderr(`cni-ts ${this.#plugin}: ${words}\n`)
  }

  timed<Value>(phase: string, step: () => Value): Value {
    if (this.#destination === "") return step()
    const begun = host.uptime()
    try {
      return step()
    } finally {
      this.#phases[phase] = (this.#phases[phase] ?? 0) + host.uptime() - begun
    }
  }

  /** The call is over and answered. */
  end(failure?: CniError): void {
    if (this.#destination === "") return
    try {
      this.#write(failure)
    } catch {} // no log is worth a failed call
  }

  #write(failure: CniError | undefined): void {
    const line = printCallReport({
      plugin: this.#plugin,
      variables: this.#variables,
      network: this.#network,
      endedAt: new Date(),
      duration: host.uptime(),
      phases: this.#phases,
      removed: this.#removed,
      failure,
    })
    const destination = this.#destination
    if (destination === "journald") sendToJournal(JOURNAL, line, failure !== undefined)
    else if (destination.startsWith("journald:")) sendToJournal(destination.slice(9), line, failure !== undefined)
    else appendLine(destination, line)
  }
}
