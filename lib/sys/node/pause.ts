const nobodysWord = new Int32Array(new SharedArrayBuffer(4))

/** Does nothing for that long: no timer runs, no promise goes on. */
export function sleep(milliseconds: number): void {
  Atomics.wait(nobodysWord, 0, 0, milliseconds)
}
