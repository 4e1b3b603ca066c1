import { expect, test } from "vitest"
import { failEverywhere } from "./error-matrix.ts"
import { subjects } from "./subjects.ts"

for (const verb of ["ADD", "DEL"] as const) {
  test.each(subjects)(
    `$name: ${verb} ends in one answer and leaves nothing, whichever system call fails`,
    { timeout: 600_000 },
    async (subject) => {
      const { points, faults, errors, failures } = await failEverywhere(subject, verb)
      const sums = `${points} points, ${faults} faults, ${errors} errors, ${failures.length} failures`
      console.log(`${subject.name}, ${verb}: ${sums}`)
      expect(failures).toEqual([])
      expect(errors).toBeGreaterThan(0)
    },
  )
}
