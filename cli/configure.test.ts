import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { expect, test } from "vitest"
import { scratchDirectory } from "../lib/testing/scratch.ts"
import { configureCommand } from "./configure.ts"

const list = { cniVersion: "1.0.0", name: "pods", plugins: [{ type: "bridge" }, { type: "portmap" }] }

function configure(text: string, target = "10-pods.conflist"): string {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/list`, text)
  configureCommand.run([`${directory}/list`, `${directory}/net.d/${target}`], new Map())
  return `${directory}/net.d`
}

test("the list is copied as it is, by a file that all can read, and nothing else is left", () => {
  const text = JSON.stringify(list, null, 3)
  const directory = configure(text)
  expect(readdirSync(directory)).toEqual(["10-pods.conflist"])
  expect(readFileSync(`${directory}/10-pods.conflist`, "utf8")).toBe(text)
  expect(statSync(`${directory}/10-pods.conflist`).mode & 0o777).toBe(0o644)
})

test("a file of a ConfigMap, a symbolic link, replaces the list that is there, and what a killed call left", () => {
  const directory = scratchDirectory()
  mkdirSync(`${directory}/..data`)
  writeFileSync(`${directory}/..data/list`, JSON.stringify(list))
  symlinkSync("..data/list", `${directory}/list`)
  writeFileSync(`${directory}/10.conflist`, "before")
  writeFileSync(`${directory}/10.conflist.new`, "half of it")
  configureCommand.run([`${directory}/list`, `${directory}/10.conflist`], new Map())
  expect(JSON.parse(readFileSync(`${directory}/10.conflist`, "utf8"))).toEqual(list)
  expect(readdirSync(directory).sort()).toEqual(["..data", "10.conflist", "list"])
})

test.each([
  ["no JSON", "{", "unexpected end"],
  ["no object", "[]", "the document is no object"],
  ["no name", JSON.stringify({ ...list, name: "" }), "name is missing"],
  ["no version", JSON.stringify({ ...list, cniVersion: undefined }), "cniVersion is missing"],
  ["one plugin, as in a .conf", JSON.stringify({ ...list, plugins: undefined, type: "bridge" }), "plugins is missing"],
  ["no plugins", JSON.stringify({ ...list, plugins: [] }), "plugins is missing"],
  ["a plugin without a type", JSON.stringify({ ...list, plugins: [{ type: "bridge" }, {}] }), "a plugin has no type"],
  ["a name that is a number", JSON.stringify({ ...list, name: 1 }), "name"],
])("what would leave the node without a network is refused: %s", (_, text, problem) => {
  expect(() => configure(text)).toThrow(problem)
})

test("a name that no runtime reads is refused", () => {
  expect(() => configure(JSON.stringify(list), "10-pods.json")).toThrow("is not named .conflist")
})
