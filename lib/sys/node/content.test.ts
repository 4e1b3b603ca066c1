import { execFileSync } from "node:child_process"
import { readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { expect, test } from "vitest"
import { scratchDirectory } from "../../testing/scratch.ts"
import { nodeHost as host } from "./host.ts"

const { EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENXIO } = constants.errno

test("createFile and createOnDisk make a file that only its owner reads, if there is none", () => {
  const directory = scratchDirectory()
  for (const create of ["createFile", "createOnDisk"] as const) {
    const path = `${directory}/${create}`
    expect(host[create](path, "tëxt")).toBe(0)
    expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["tëxt", 0o600])
    expect(host[create](path, "other")).toBe(-EEXIST)
    expect(readFileSync(path, "utf8")).toBe("tëxt")
    expect(host[create](`${directory}/none/file`, "")).toBe(-ENOENT)
    expect(host[create](`${path}\0`, "")).toBe(-EINVAL)
  }
})

test("writeOver leaves what is behind the text, replaceContent does not", () => {
  const path = `${scratchDirectory()}/file`
  writeFileSync(path, "old content")
  expect(host.writeOver(path, "new")).toBe(0)
  expect(readFileSync(path, "utf8")).toBe("new content")
  expect(host.replaceContent(path, "short")).toBe(0)
  expect(readFileSync(path, "utf8")).toBe("short")
  expect(host.replaceContent(path, "")).toBe(0)
  expect(readFileSync(path, "utf8")).toBe("")
})

test("writeOver and replaceContent make no file, follow no link and do not wait", () => {
  const directory = scratchDirectory()
  symlinkSync("file", `${directory}/link`)
  execFileSync("mkfifo", [`${directory}/pipe`])
  for (const write of ["writeOver", "replaceContent"] as const) {
    const answers = ["file", "link", "pipe", "."].map((name) => host[write](`${directory}/${name}`, "x"))
    expect(answers).toEqual([-ENOENT, -ELOOP, -ENXIO, -EISDIR])
  }
})

test("readEnd reads the last bytes, or all of a shorter file", () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/file`, "a long text")
  expect(host.readEnd(`${directory}/file`, 4)).toBe("text")
  expect(host.readEnd(`${directory}/file`, 256)).toBe("a long text")
  expect(host.readEnd(`${directory}/file`, 257)).toBe(-EINVAL)
  expect(host.readEnd(`${directory}/none`, 1)).toBe(-ENOENT)
})
