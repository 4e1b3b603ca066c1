/** Tells the operator about a call, beside its result. Nothing here can fail, or make the call fail. */
export interface Log {
  /**
   * Says that something was removed that the call did not name: stale things that GC found, a dead pod's lease that ADD took back.
   * `what` and `reason` are one line; what others may have written is quoted in them.
   */
  removed(what: string, reason: string): void
  /** Says something about the call that its answer does not; one line. */
  noticed(words: string): void
  /** Does `step`, and adds the time it takes to that phase of the call. */
  timed<Value>(phase: string, step: () => Value): Value
}
