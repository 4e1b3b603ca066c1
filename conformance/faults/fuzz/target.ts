import type fc from "fast-check"

/** Somewhere foreign input is read: whatever it says, `check` returns, or throws what a test shall be told of. */
export interface Target {
  readonly name: string
  readonly inputs: fc.Arbitrary<string>
  readonly check: (input: string) => void
}
