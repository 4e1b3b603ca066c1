import { expect, test } from "vitest"
import { type Command, readCommandLine } from "./command.ts"

const command: Command = {
  usage: "",
  purpose: "",
  help: "",
  minArguments: 1,
  maxArguments: 2,
  options: { "--yes": "flag", "-o": "value" },
  run: () => 0,
}

test.each([
  [["a"], ["a"], {}],
  [["a", "b"], ["a", "b"], {}],
  [["--yes", "a", "-o", "json"], ["a"], { "--yes": "", "-o": "json" }],
  [["-o", "--yes", "a"], ["a"], { "-o": "--yes" }],
])("%j is understood", (words, args, options) => {
  expect(readCommandLine(command, words)).toEqual({ args, options: new Map(Object.entries(options)) })
})

test.each([[[]], [["a", "b", "c"]], [["a", "--no"]], [["a", "-o"]], [["a", "-"]]])("%j is not", (words) => {
  expect(readCommandLine(command, words)).toBeUndefined()
})
