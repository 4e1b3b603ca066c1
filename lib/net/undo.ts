import { KernelError } from "../netlink/kernel-error.ts"
import { Conflict } from "./conflict.ts"

/**
 * The way back from a half-done change: unless committed, its steps run in reverse when it is disposed.
 * A step that fails does not stop the others; the failure that made us turn back is the one to report.
 */
export class Undo implements Disposable {
  #steps: (() => void)[] = []

  /** Adds `step`, which undoes what was done just now. */
  add(step: () => void): void {
    this.#steps.push(step)
  }

  /**
   * Does `change`, which `step` undoes. If it is refused, nothing was done, and `step` might take away what was there before. Any other
   * failure leaves open if it was done: its answer may have been lost.
   */
  attempt<Value>(change: () => Value, step: () => void): Value {
    try {
      const value = change()
      this.add(step)
      return value
    } catch (error) {
      if (!(error instanceof KernelError || error instanceof Conflict)) this.add(step)
      throw error
    }
  }

  /** Forgets all steps: the change is done. */
  commit(): void {
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
