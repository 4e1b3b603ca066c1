import { dirname, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, test } from "vitest"
import { testsIn } from "./tests-in-guest.ts"

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
  for (const { file, name, failure } of await testsIn([directory]))
    describe(relative(directory, file), () => {
      test(name, () => {
        if (failure) throw Object.assign(new Error(failure.split("\n    at ", 1)[0]), { stack: failure })
      })
    })
}
