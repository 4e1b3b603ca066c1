import { traceNetlink } from "../netlink/trace.ts"
import { host } from "../sys/host.ts"
import { appendLine, sendToJournal } from "../sys/log-line.ts"
import { environment, variable, writeStderr } from "../sys/process.ts"
import type { UnmatchedConfig } from "./config.ts"
import type { CniError } from "./errors.ts"
import type { Log } from "./log.ts"
import { type CallMoment, printCallReport, printNetlinkMessage } from "./log-record.ts"

const JOURNAL = "/run/systemd/journal/socket"

/**
 * The log of one call. Removals are said on stderr at once, for the runtime's own log. One line about the whole call, and
 * if CNI_TS_NETLINK is set one about each netlink message, goes where the configuration's `cniTsLog` or the environment's CNI_TS_LOG
 * says: a file, `journald`, or `journald:` and a socket. Without either nothing is measured or kept.
 */
export class CallLog implements Log {
  readonly #plugin: string
  #destination: string
  #network: string | undefined
  readonly #removed: string[] = []
  readonly #noticed = new Set<string>()
  readonly #phases: Record<string, number> = {}

  constructor(plugin: string) {
    this.#plugin = plugin
    this.#destination = variable("CNI_TS_LOG") ?? ""
    if (this.#destination !== "") this.#phases["start"] = host.uptime()
  }

  /** Takes from the configuration, once it has been read, where to log. */
  configured({ name, fields }: UnmatchedConfig): void {
    const destination = fields.get("cniTsLog")
    if (typeof destination === "string") this.#destination = destination
    this.#network = name
    const netlink = variable("CNI_TS_NETLINK") ?? ""
    if (["", "0"].includes(netlink)) return
    if (this.#destination !== "") traceNetlink((message) => this.#exchanged(message), netlink === "brief")
    else this.noticed("CNI_TS_NETLINK is set, but neither CNI_TS_LOG nor cniTsLog says where to log")
  }

  removed(what: string, reason: string): void {
    writeStderr(`cni-ts ${this.#plugin}: removed ${what}: ${reason}\n`)
    if (this.#destination !== "") this.#removed.push(`${what}: ${reason}`)
  }

  /** Says it once, also if a delegate inside this process notices it too. */
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

  /** Writes the line about the call, which is over and answered. */
  end(failure?: CniError): void {
    if (this.#destination === "") return
    this.#write(
      () => printCallReport({ ...this.#about(), phases: this.#phases, removed: this.#removed, failure }),
      failure !== undefined,
    )
  }

  #exchanged(message: object): void {
    this.#write(() => printNetlinkMessage(this.#about(), message), false)
  }

  #about(): CallMoment {
    return {
      plugin: this.#plugin,
      variables: environment(),
      network: this.#network,
      at: new Date(),
      sinceStart: host.uptime(),
    }
  }

  #write(print: () => string, isError: boolean): void {
    const destination = this.#destination
    try {
      if (destination === "journald") sendToJournal(JOURNAL, print(), isError)
      else if (destination.startsWith("journald:")) sendToJournal(destination.slice(9), print(), isError)
      else appendLine(destination, print())
    } catch {} // no log is worth a failed call
  }
}
