import { describe, expect, it } from "vitest"
import { SystemError } from "../sys/system-error.ts"
import { CniError } from "./errors.ts"
import { Failures } from "./failures.ts"

function failing(...errors: unknown[]): { done: number; rethrow: () => void } {
  const failures = new Failures()
  let done = 0
  for (const error of errors) {
    failures.capture(() => {
      throw error
    })
    failures.capture(() => void done++)
  }
  return { done, rethrow: () => failures.rethrow() }
}

describe("Failures", () => {
  it("are none where nothing failed", () => {
    expect(failing().rethrow).not.toThrow()
  })

  it("of one step are its own error", () => {
    const error = new SystemError("EROFS", "remove a")
    expect(failing(error).rethrow).toThrow(error)
  })

  it("of several steps are one error that tells of all, each once, with the code of the first; the steps between are done", () => {
    const { done, rethrow } = failing(
      new CniError(100, "one", "do this"),
      new CniError(102, "two", "do that"),
      new CniError(100, "one", "do this"),
    )
    expect(done).toBe(3)
    expect(rethrow).toThrow(expect.objectContaining({ code: 100, message: "one; two", details: "do this; do that" }))
  })

  it("beyond ten are counted", () => {
    const { rethrow } = failing(
      ...Array.from({ length: 3000 }, (_, index) => new CniError(100, `no ${index}`, "do this")),
    )
    expect(rethrow).toThrow(expect.objectContaining({ message: expect.stringMatching(/; no 9; and 2990 more$/) }))
  })
})
