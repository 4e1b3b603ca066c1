const neverNotified = new Int32Array(new SharedArrayBuffer(4))

/** Waits without running timers or promises. */
export function sleep(milliseconds: number): void {
  Atomics.wait(neverNotified, 0, 0, milliseconds)
}
