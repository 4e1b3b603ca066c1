import { expect, test } from "vitest"
import { KernelError } from "../netlink/kernel-error.ts"
import { SystemError } from "../sys/system-error.ts"
import { Conflict } from "./conflict.ts"
import { Undo } from "./undo.ts"

test("steps are undone in reverse when something fails, and the failure is the one that is told", () => {
  const log: string[] = []
  expect(() => {
    using undo = new Undo()
    undo.add(() => log.push("first"))
    undo.add(() => log.push("second"))
    undo.add(() => log.push("third"))
    throw new Error("the reason")
  }).toThrow("the reason")
  expect(log).toEqual(["third", "second", "first"])
})

test("what is committed is not undone", () => {
  const log: string[] = []
  {
    using undo = new Undo()
    undo.add(() => log.push("committed"))
    undo.commit()
  }
  expect(log).toEqual([])
})

test("steps added after commit() belong to a change of their own", () => {
  const log: string[] = []
  {
    using undo = new Undo()
    undo.add(() => log.push("committed"))
    undo.commit()
    undo.add(() => log.push("later"))
  }
  expect(log).toEqual(["later"])
})

test("a step that fails keeps neither the others from running nor the reason from being told", () => {
  const log: string[] = []
  expect(() => {
    using undo = new Undo()
    undo.add(() => log.push("first"))
    undo.add(() => {
      throw new Error("while undoing")
    })
    undo.add(() => log.push("third"))
    throw new Error("the reason")
  }).toThrow("the reason")
  expect(log).toEqual(["third", "first"])
})

test("no step runs twice", () => {
  let count = 0
  const undo = new Undo()
  undo.add(() => count++)
  undo[Symbol.dispose]()
  undo[Symbol.dispose]()
  expect(count).toBe(1)
})

test.each<[string, Error, string[]]>([
  ["refused is not undone: what was there before stays", new KernelError("EEXIST", "make it"), []],
  ["in the way of something is not undone", new Conflict("taken", "free it"), []],
  ["of which the answer is lost is undone", new SystemError("ENOMEM", "receive from the kernel"), ["undone"]],
])("a change that is %s", (_, failure, expected) => {
  const log: string[] = []
  const change = () => {
    throw failure
  }
  expect(() => {
    using undo = new Undo()
    undo.attempt(change, () => log.push("undone"))
  }).toThrow(failure)
  expect(log).toEqual(expected)
})
