import { execFileSync } from "node:child_process"
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { constants } from "node:os"
import { expect, test } from "vitest"
import { scratchDirectory } from "../../testing/scratch.ts"
import { FileStatus } from "../file-status.ts"
import { nodeHost as host } from "./host.ts"

const { ENOENT, ENOTEMPTY, EEXIST, ENOTDIR, EISDIR, EINVAL, ENAMETOOLONG } = constants.errno

const S_IFREG = 0o100000
const S_IFLNK = 0o120000

/** Returns the output of a GNU program about a path. */
const told = (...command: [string, ...string[]]) =>
  execFileSync(command[0], command.slice(1), { encoding: "utf8" }).trim()

test("link gives a second name, and takes none away", () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/a`, "A")
  writeFileSync(`${directory}/b`, "B")
  expect(host.link(`${directory}/a`, `${directory}/c`)).toBe(0)
  expect(statSync(`${directory}/c`).ino).toBe(statSync(`${directory}/a`).ino)
  expect(host.link(`${directory}/a`, `${directory}/b`)).toBe(-EEXIST)
  expect(readFileSync(`${directory}/b`, "utf8")).toBe("B")
  expect(host.link(`${directory}/none`, `${directory}/d`)).toBe(-ENOENT)
})

test("rename takes the name from the file that had it", () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/a`, "A")
  writeFileSync(`${directory}/b`, "B")
  expect(host.rename(`${directory}/a`, `${directory}/b`)).toBe(0)
  expect(readdirSync(directory)).toEqual(["b"])
  expect(readFileSync(`${directory}/b`, "utf8")).toBe("A")
  expect(host.rename(`${directory}/a`, `${directory}/b`)).toBe(-ENOENT)
})

test("unlink removes a name, but no directory", () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/a`, "A")
  expect(host.unlink(`${directory}/a`)).toBe(0)
  expect(host.unlink(`${directory}/a`)).toBe(-ENOENT)
  mkdirSync(`${directory}/d`)
  expect(host.unlink(`${directory}/d`)).toBe(-EISDIR)
})

test("removeDirectory removes an empty directory alone", () => {
  const directory = scratchDirectory()
  mkdirSync(`${directory}/d/e`, { recursive: true })
  expect(host.removeDirectory(`${directory}/d`)).toBe(-ENOTEMPTY)
  expect(host.removeDirectory(`${directory}/d/e`)).toBe(0)
  expect(host.removeDirectory(`${directory}/d/e`)).toBe(-ENOENT)
})

test("chmod sets permissions, whatever the umask", () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/a`, "A", { mode: 0o600 })
  expect(host.chmod(`${directory}/a`, 0o777)).toBe(0)
  expect(told("stat", "-c", "%a", `${directory}/a`)).toBe("777")
  expect(host.chmod(`${directory}/b`, 0o777)).toBe(-ENOENT)
})

test("readLink tells where a symbolic link points to", () => {
  const directory = scratchDirectory()
  symlinkSync("../nowhere", `${directory}/a`)
  writeFileSync(`${directory}/b`, "B")
  expect(host.readLink(`${directory}/a`)).toBe("../nowhere")
  expect(host.readLink(`${directory}/b`)).toBe(-EINVAL)
  expect(host.readLink(`${directory}/c`)).toBe(-ENOENT)
})

test("mkdir makes one directory of that mode", () => {
  const directory = scratchDirectory()
  expect(host.mkdir(`${directory}/d`, 0o700)).toBe(0)
  expect(statSync(`${directory}/d`).mode & 0o777).toBe(0o700)
  expect(host.mkdir(`${directory}/d`, 0o700)).toBe(-EEXIST)
  expect(host.mkdir(`${directory}/e/f`, 0o700)).toBe(-ENOENT)
  expect(host.mkdir(`${directory}/${"x".repeat(256)}`, 0o700)).toBe(-ENAMETOOLONG)
})

test("list names all but . and .., hidden ones too, in the kernel's order", () => {
  const directory = scratchDirectory()
  expect(host.list(directory)).toEqual([])
  for (let i = 0; i < 300; i++) writeFileSync(`${directory}/${(i * 7919) % 300}`, "")
  writeFileSync(`${directory}/.hidden`, "")
  writeFileSync(`${directory}/...`, "")
  expect(host.list(directory)).toEqual(told("find", directory, "-mindepth", "1", "-printf", "%f\\n").split("\n"))
  expect(host.list(`${directory}/1`)).toBe(-ENOTDIR)
  expect(host.list(`${directory}/none`)).toBe(-ENOENT)
})

test("a name that is not UTF-8 is listed with U+FFFD", () => {
  const directory = scratchDirectory()
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0x61, 0xff, 0x62])]), "")
  expect(host.list(directory)).toEqual(["a\ufffdb"])
})

/** The status that the host tells of a path. */
function statusOf(path: string, follow: boolean): FileStatus {
  const answer = host.stat(path, follow)
  if (typeof answer === "number") throw new Error(`${answer}`)
  return new FileStatus(answer)
}

test("stat tells what stat(1) tells", () => {
  const path = `${scratchDirectory()}/file`
  writeFileSync(path, "five!")
  chmodSync(path, 0o4751)
  const { device, inode, type, permissions, size, modified, nanoseconds, isMount } = statusOf(path, false)
  const time = `${modified}.${`${nanoseconds}`.padStart(9, "0")}`
  expect(`${device >>> 20}:${device & 0xfffff} ${inode} ${size} ${(type | permissions).toString(16)} ${time}`).toBe(
    told("stat", "-c", "%Hd:%Ld %i %s %f %.9Y", path),
  )
  expect([type, permissions]).toEqual([S_IFREG, 0o4751])
  expect(isMount).toBe(false)
})

test("stat looks at a link or at what it leads to", () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/file`, "12345678")
  symlinkSync("file", `${directory}/link`)
  symlinkSync("none", `${directory}/broken`)
  const { size, inode } = statusOf(`${directory}/link`, true)
  expect({ size, inode }).toEqual({ size: 8, inode: BigInt(statSync(`${directory}/file`).ino) })
  const link = statusOf(`${directory}/link`, false)
  expect([link.type, link.permissions, link.size]).toEqual([S_IFLNK, 0o777, 4])
  expect(host.stat(`${directory}/broken`, true)).toBe(-ENOENT)
  expect(host.stat(`${directory}/file/x`, true)).toBe(-ENOTDIR)
})

test("stat sees a mount, and an inode above 2^53 whole", () => {
  expect(statusOf("/proc", true).isMount).toBe(true)
  expect(statusOf("/proc/self", true).isMount).toBe(false)
  expect(statusOf("/proc/self/ns/net", true).inode).toBe(BigInt(told("stat", "-Lc", "%i", "/proc/self/ns/net")))
})

test("fileSystem tells what stat -f tells", () => {
  const path = scratchDirectory()
  const [type, blocks, files] = told("stat", "-f", "-c", "%t %b %c", path).split(" ")
  const found = host.fileSystem(path)
  expect(found).toMatchObject({ type: Number.parseInt(type ?? "", 16), blocks: Number(blocks), files: Number(files) })
  if (typeof found === "number") throw new Error(`${found}`)
  expect(found.freeBlocks).toBeLessThanOrEqual(found.blocks)
  expect(found.freeFiles).toBeLessThanOrEqual(found.files)
  expect(host.fileSystem(`${path}/none`)).toBe(-ENOENT)
})

test("fileSystem tells how it is mounted, as /proc/self/mountinfo does", () => {
  const ST = { ro: 1, nosuid: 2, nodev: 4, noexec: 8, noatime: 1024, nodiratime: 2048, relatime: 4096 }
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n")
  const [mount = "", superblock = ""] = lines.findLast((line) => line.split(" ")[4] === "/proc")?.split(" - ") ?? []
  const options = [
    ...(mount.split(" ")[5] ?? "").split(","),
    ...superblock.split(",").filter((word) => /\bro$/.test(word)),
  ]
  const flags = Object.entries(ST).reduce((sum, [option, flag]) => sum | (options.includes(option) ? flag : 0), 0)
  const proc = host.fileSystem("/proc")
  if (typeof proc === "number") throw new Error(`${proc}`)
  expect(flags).not.toBe(0)
  expect(proc.flags & Object.values(ST).reduce((sum, flag) => sum | flag)).toBe(flags)
})

test("fileSystem tells 0 of what is not counted", () => {
  const PROC_SUPER_MAGIC = 0x9fa0
  expect(host.fileSystem("/proc")).toMatchObject({ type: PROC_SUPER_MAGIC, blocks: 0, files: 0 })
})

test("setTimes sets both times to the second", () => {
  const path = `${scratchDirectory()}/file`
  writeFileSync(path, "")
  expect(host.setTimes(path, 4_500_000_000n)).toBe(0)
  expect(told("stat", "-c", "%.9X %.9Y", path)).toBe("4500000000.000000000 4500000000.000000000")
  expect(host.setTimes(`${path}-none`, 1n)).toBe(-ENOENT)
})

test("a path that holds a NUL byte is EINVAL, and what stands before it is left alone", () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/a`, "")
  linkSync(`${directory}/a`, `${directory}/b`)
  const cut = `${directory}/a\0`
  const answers = {
    link: host.link(cut, `${directory}/c`),
    linkTo: host.link(`${directory}/a`, `${directory}/c\0`),
    rename: host.rename(cut, `${directory}/c`),
    renameTo: host.rename(`${directory}/a`, `${directory}/c\0`),
    unlink: host.unlink(cut),
    mkdir: host.mkdir(`${directory}/c\0`, 0o700),
    list: host.list(`${directory}\0`),
    stat: host.stat(cut, true),
    fileSystem: host.fileSystem(cut),
    setTimes: host.setTimes(cut, 1n),
  }
  expect(new Set(Object.values(answers))).toEqual(new Set([-EINVAL]))
  expect(readdirSync(directory)).toEqual(["a", "b"])
})
