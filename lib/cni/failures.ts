import { toCniError } from "./error-document.ts"
import { CniError } from "./errors.ts"

/** Bounds how many failures are told in full. */
const TOLD = 10

/** The failures of a call that goes on after each of them. */
export class Failures {
  readonly #errors: unknown[] = []

  /** Does the step. Keeps what it throws for rethrow(): the steps after it go on. */
  capture(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#errors.push(error)
    }
  }

  /** Throws if any step failed: the failure itself, or one error that tells of all and has the code of the first. */
  rethrow(): void {
    const [first, ...others] = this.#errors
    if (first === undefined) return
    if (others.length === 0) throw first
    const all = this.#errors.map(toCniError)
    const messages = distinct(all.map(({ message }) => message))
    const more = messages.length > TOLD ? [`and ${messages.length - TOLD} more`] : []
    throw new CniError(
      toCniError(first).code,
      [...messages.slice(0, TOLD), ...more].join("; "),
      distinct(all.map(({ details }) => details)).join("; "),
      { cause: first },
    )
  }
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)].filter((text) => text !== "")
}
