import { execFileSync } from "node:child_process"
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { describe, expect, test } from "vitest"
import { scratchDirectory } from "../testing/scratch.ts"
import { nodeWithTypeScript } from "../testing/script.ts"
import {
  linkFile,
  listDirectory,
  makeDirectories,
  openOrCreate,
  openRead,
  overwriteRegular,
  readAll,
  readRegular,
  readText,
  removeFile,
  renameFile,
  unlessMissing,
  writeExisting,
  writeNew,
} from "./file.ts"
import { fileStatus, linkStatus, S_IFREG, sameFile } from "./file-status.ts"
import { SystemError } from "./system-error.ts"

const LIMIT = 1 << 20

/** A directory with a file, a directory, symbolic links to both and to nothing, and a named pipe. */
function menagerie(): string {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/file`, "content")
  mkdirSync(`${directory}/directory`)
  for (const target of ["file", "directory", "nothing"]) symlinkSync(target, `${directory}/to-${target}`)
  execFileSync("mkfifo", [`${directory}/pipe`])
  return directory
}

const descriptors = () => readdirSync("/proc/self/fd").length

describe("reading", () => {
  test.each([0, 1, 4095, 4096, 4097, 100_000])("a file of %i bytes gives all of them", (length) => {
    const path = `${scratchDirectory()}/file`
    const text = "0123456789abcdef".repeat(length / 16 + 1).slice(0, length)
    writeFileSync(path, text)
    expect(readText(path)).toBe(text)
    expect(readRegular(path, LIMIT)).toBe(text)
  })

  test("more than the limit is refused, up to it is not", () => {
    const path = `${scratchDirectory()}/file`
    writeFileSync(path, "x".repeat(5000))
    expect(readText(path, 5000)).toHaveLength(5000)
    expect(() => readText(path, 4999)).toThrow(`cannot read ${path}: EFBIG`)
    expect(readRegular(path, 4999)).toBeUndefined()
  })

  test("what is no regular file of that very name is none, and not waited for", () => {
    const directory = menagerie()
    const names = ["directory", "to-file", "to-directory", "to-nothing", "none"]
    for (const name of names) expect(readRegular(`${directory}/${name}`, LIMIT)).toBeUndefined()
    expect(readRegular(`${directory}/pipe`, LIMIT)).toBe("") // nobody writes to it
    expect(readRegular(`${directory}/file`, LIMIT)).toBe("content")
    expect(readText(`${directory}/to-file`)).toBe("content")
  })

  test("a file that the kernel makes up, of size 0, gives all of it", () => {
    expect(readText("/proc/self/mountinfo")).toContain(" /proc ")
  })

  test("what cannot be opened says so in a sentence", () => {
    const path = `${scratchDirectory()}/none`
    expect(() => openRead(path)).toThrow(`cannot open ${path}: ENOENT (no such file or directory)`)
    expect(() => openRead("/a\0b")).toThrow("EINVAL")
    expect(unlessMissing(() => readText(path))).toBeUndefined()
    expect(() => unlessMissing(() => readText("/"))).toThrow("EISDIR")
  })

  test("leaves no descriptor open, whether it succeeds or fails", () => {
    const directory = menagerie()
    const before = descriptors()
    readText(`${directory}/file`)
    readRegular(`${directory}/pipe`, LIMIT)
    expect(() => readText(directory)).toThrow()
    expect(() => readText(`${directory}/file`, 1)).toThrow()
    expect(descriptors()).toBe(before)
  })
})

describe("a new file", () => {
  test("is its owner's alone, and holds the text", () => {
    const path = `${scratchDirectory()}/new`
    writeNew(path, "tëxt", { synced: true })
    expect(readFileSync(path, "utf8")).toBe("tëxt")
    expect(statSync(path).mode).toBe(0o100600)
  })

  test("takes the name from what bears it, and writes to none of that", () => {
    const directory = menagerie()
    linkSync(`${directory}/file`, `${directory}/other`)
    for (const name of ["other", "to-file", "to-nothing", "pipe"]) {
      writeNew(`${directory}/${name}`, "new", { synced: false })
      expect(lstatSync(`${directory}/${name}`)).toMatchObject({ mode: 0o100600, size: 3, nlink: 1 })
    }
    expect(readFileSync(`${directory}/file`, "utf8")).toBe("content")
    expect(existsSync(`${directory}/nothing`)).toBe(false)
    expect(() => writeNew(`${directory}/directory`, "new", { synced: false })).toThrow(SystemError)
  })

  test("that cannot be written whole is not there", () => {
    const path = `${scratchDirectory()}/new`
    const script = `ulimit -f 1; trap '' XFSZ; exec "$@"`
    const [register, file] = ["node/register.ts", "file.ts"].map((name) => new URL(name, import.meta.url).pathname)
    const program = `await import("${register}"); const { writeNew } = await import("${file}")
      try { writeNew("${path}", "x".repeat(1 << 20), { synced: false }) } catch (error) { console.log(error.errno) }`
    expect(
      execFileSync("sh", ["-c", script, "sh", ...nodeWithTypeScript, "--input-type=module", "-e", program], {
        encoding: "utf8",
      }),
    ).toBe("EFBIG\n")
    expect(existsSync(path)).toBe(false)
  })
})

describe("writing in place", () => {
  test("replaces the content of a regular file, and of nothing else", () => {
    const directory = menagerie()
    const { ino } = statSync(`${directory}/file`)
    expect(overwriteRegular(`${directory}/file`, "new")).toBe(true)
    expect(statSync(`${directory}/file`).ino).toBe(ino)
    for (const name of ["directory", "to-file", "to-nothing", "pipe", "none"])
      expect(overwriteRegular(`${directory}/${name}`, "other")).toBe(false)
    expect(readFileSync(`${directory}/file`, "utf8")).toBe("new")
    expect(existsSync(`${directory}/none`)).toBe(false)
  })

  test("to a file that exists makes none that does not", () => {
    const directory = menagerie()
    writeExisting(`${directory}/file`, "CON")
    expect(readFileSync(`${directory}/file`, "utf8")).toBe("CONtent")
    expect(() => writeExisting(`${directory}/none`, "x")).toThrow("ENOENT")
  })

  test("opening or creating leaves a file that exists as it is, and follows no link", () => {
    const directory = menagerie()
    using file = openOrCreate(`${directory}/file`, 0o640)
    expect(new TextDecoder().decode(readAll(file.fd, "file"))).toBe("content")
    using _made = openOrCreate(`${directory}/made`, 0o600)
    expect(statSync(`${directory}/made`)).toMatchObject({ mode: 0o100600, size: 0 })
    expect(() => openOrCreate(`${directory}/to-nothing`, 0o640)).toThrow("ELOOP")
  })
})

describe("names", () => {
  test("a second one is given unless it is taken", () => {
    const directory = menagerie()
    expect(linkFile(`${directory}/file`, `${directory}/second`)).toBe(true)
    expect(sameFile(fileStatus(`${directory}/file`), fileStatus(`${directory}/second`))).toBe(true)
    for (const taken of ["second", "to-nothing", "directory"])
      expect(linkFile(`${directory}/file`, `${directory}/${taken}`)).toBe(false)
    expect(() => linkFile(`${directory}/none`, `${directory}/third`)).toThrow("ENOENT")
  })

  test("another one is taken from the file that had it", () => {
    const directory = menagerie()
    renameFile(`${directory}/file`, `${directory}/to-nothing`)
    expect(readRegular(`${directory}/to-nothing`, LIMIT)).toBe("content")
    expect(() => renameFile(`${directory}/file`, `${directory}/x`)).toThrow(`cannot replace ${directory}/x: ENOENT`)
  })

  test("are removed once", () => {
    const directory = menagerie()
    expect([removeFile(`${directory}/to-file`), removeFile(`${directory}/to-file`)]).toEqual([true, false])
    expect(existsSync(`${directory}/file`)).toBe(true)
    expect(() => removeFile(`${directory}/directory`)).toThrow("EISDIR")
  })

  test("are listed without . and ..", () => {
    const names = ["directory", "file", "pipe", "to-directory", "to-file", "to-nothing"]
    expect(listDirectory(menagerie()).sort()).toEqual(names)
    expect(() => listDirectory("/etc/hostname")).toThrow("cannot list /etc/hostname: ENOTDIR")
  })

  test("directories are made with all that are missing above them", () => {
    const directory = menagerie()
    for (let time = 0; time < 2; time++) makeDirectories(`${directory}/a/b/c`, 0o700)
    for (const made of ["a", "a/b", "a/b/c"]) expect(statSync(`${directory}/${made}`).mode).toBe(0o040700)
    makeDirectories(`${directory}/to-directory/below`, 0o700)
    expect(existsSync(`${directory}/directory/below`)).toBe(true)
    expect(() => makeDirectories(`${directory}/file/x`, 0o700)).toThrow("ENOTDIR")
  })
})

test("status tells a file from others, and a link from what it leads to", () => {
  const directory = menagerie()
  const status = fileStatus(`${directory}/to-file`)
  expect(status).toMatchObject({ type: S_IFREG, size: 7, inode: BigInt(statSync(`${directory}/file`).ino) })
  expect(linkStatus(`${directory}/to-file`).type).toBe(0o120000)
  expect(sameFile(status, fileStatus(`${directory}/file`))).toBe(true)
  expect(sameFile(status, linkStatus(`${directory}/to-file`))).toBe(false)
  expect(() => fileStatus(`${directory}/to-nothing`)).toThrow("ENOENT")
})
