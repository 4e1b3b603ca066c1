import { expect, test } from "vitest"
import { observe } from "./injection.ts"
import { killEverywhere } from "./kill-matrix.ts"
import { Scene } from "./scene.ts"
import { subjects } from "./subjects.ts"

test.each(subjects)("$name: hardly a call is made before stdin is read, and none changes anything", (subject) => {
  using scene = new Scene(subject)
  const { plugin, call } = scene.prepare("ADD", subject.first ?? 0)
  const { prelude, early } = observe(scene.node, plugin, call)
  expect(prelude).toBeGreaterThan(0)
  expect(prelude).toBeLessThan(20)
  expect(early).toEqual([])
  scene.mustSucceed("DEL")
})

test.each(subjects)(
  "$name: after an ADD killed at any system call, DEL, ADD and DEL, or GC leave the node as it was",
  { timeout: 600_000 },
  async (subject) => {
    const { points, kills, failures } = await killEverywhere(subject, "ADD")
    console.log(`${subject.name}, ADD: ${points} points, ${kills} kills, ${failures.length} failures`)
    expect(failures).toEqual([])
    expect(points).toBeGreaterThan(2)
  },
)
