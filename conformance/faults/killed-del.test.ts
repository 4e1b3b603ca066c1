import { expect, test } from "vitest"
import { killEverywhere } from "./kill-matrix.ts"
import { subjects } from "./subjects.ts"

test.each(subjects)(
  "$name: after a DEL killed at any system call, DEL, ADD and DEL, or GC leave the node as it was",
  { timeout: 600_000 },
  async (subject) => {
    const { points, kills, failures } = await killEverywhere(subject, "DEL")
    console.log(`${subject.name}, DEL: ${points} points, ${kills} kills, ${failures.length} failures`)
    expect(failures).toEqual([])
    expect(points).toBeGreaterThan(2)
  },
)
