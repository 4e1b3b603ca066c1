import { writeStderr } from "../sys/process.ts"

/** What a call tells the operator beside its result. Nothing here can fail, or make the call fail. */
export interface Log {
  /**
   * Something was removed that the call did not name: stale things that GC found, a dead pod's lease that ADD took back.
   * `what` and `reason` are one line; what others may have written is quoted in them.
   */
  removed(what: string, reason: string): void
}

/** Says every removal on stderr at once, where the runtime's own log has it. */
export class CallLog implements Log {
  readonly #plugin: string

  constructor(plugin: string) {
    this.#plugin = plugin
  }

  removed(what: string, reason: string): void {
    writeStderr(`cni-ts ${this.#plugin}: removed ${what}: ${reason}\n`)
  }
}
