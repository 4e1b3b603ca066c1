import { dirname, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, test } from "vitest"
import type { GuestResult } from "./guest.ts"
import { ROOT, vitestInGuest } from "./vitest.ts"

/** How a test ended in the guest. */
export interface Outcome {
  readonly file: string
  readonly name: string
  /** Why it failed, with a stack whose paths are this machine's; without it, the test passed. */
  readonly failure?: string
}

/** The part of vitest's JSON report that is read. */
interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly title: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

/**
 * Runs the tests beside the file with that URL in the VM, and registers one test here for each of theirs. It is all that `vm.test.ts`
 * of a plugin's directory says; with that file there, the others of the directory run nowhere else:
 *
 * ```ts
 * await testsInGuest(import.meta.url)
 * ```
 */
export async function testsInGuest(url: string): Promise<void> {
  const directory = dirname(fileURLToPath(url))
  const result = await vitestInGuest([`${relative(ROOT, directory)}/`])
  if (result.exitCode !== 0) console.error(result.stderr)
  for (const { file, name, failure } of outcomes(result, directory))
    describe(file, () => {
      test(name, () => {
        if (failure) throw Object.assign(new Error(failure.split("\n    at ", 1)[0]), { stack: failure })
      })
    })
}

/** Returns each test's outcome. A skipped test failed; so did a file that cannot be loaded, and a bad end that no test is to blame for. */
export function outcomes({ exitCode, stdout, stderr }: GuestResult, directory: string): Outcome[] {
  const { testResults }: Report = stdout === "" ? { testResults: [] } : JSON.parse(stdout)
  const found = testResults.flatMap(({ name, message, assertionResults }): Outcome[] => {
    const file = relative(directory, name)
    if (assertionResults.length === 0) return [{ file, name: "is loaded", failure: message || "it has no test" }]
    return assertionResults.map(({ ancestorTitles, title, status, failureMessages }) => ({
      file,
      name: [...ancestorTitles, title].join(" > "),
      ...(status !== "passed" && { failure: failureMessages.join("\n\n") || `it is ${status}` }),
    }))
  })
  const explained = exitCode === 0 ? found.length > 0 : found.some(({ failure }) => failure)
  return explained ? found : [...found, { file: "vitest", name: "ends well in the VM", failure: stderr }]
}
