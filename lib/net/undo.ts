/**
 * The way back from a half-done change: unless kept, its steps run in reverse when it is disposed.
 * A step that fails does not stop the others; the failure that made us turn back is the one to report.
 */
export class Undo implements Disposable {
  #steps: (() => void)[] = []

  /** From here on, turning back includes `step`. */
  add(step: () => void): void {
    this.#steps.push(step)
  }

  /** The change is done: nothing is to be undone any more. */
  keep(): void {
    this.#steps = []
  }

  [Symbol.dispose](): void {
    for (const step of this.#steps.reverse()) {
      try {
        step()
      } catch {}
    }
    this.#steps = []
  }
}
