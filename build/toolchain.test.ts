import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { architectures, muslLicense, ownFlags, toolchainFor } from "./toolchain.ts"

const directory = mkdtempSync(join(tmpdir(), "toolchain-"))
afterAll(() => rmSync(directory, { recursive: true }))

/** Includes what only the kernel's headers and the compiler's have, and writes as far into an array as it is told. */
const source = `#include <linux/netlink.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    _Atomic int netlink = NETLINK_ROUTE;
    char text[8] = "hello";
    text[count > 1 ? atoi(arguments[1]) : 0] = 'H';
    return printf("%s %d\\n", text, atomic_fetch_add(&netlink, 1)) < 0;
}
`
const [PF_W, PF_R] = [2, 4]
const file = join(directory, "hello.c")
writeFileSync(file, source)

describe.each(architectures)("an executable for %s", (architecture) => {
  const { compiler, flags, link, runner } = toolchainFor(architecture)
  const [object, executable] = [join(directory, `${architecture}.o`), join(directory, architecture)]
  execFileSync(compiler, [...flags, ...ownFlags, "-c", file, "-o", object])
  execFileSync(compiler, link([object], executable))
  const elf = readFileSync(executable)

  test("runs on this machine", () => {
    const [command = executable, ...rest] = [...runner, executable]
    expect(execFileSync(command, rest, { encoding: "utf8" })).toBe("Hello 0\n")
  })

  test("is for that processor, stands at a fixed address and needs no program to load it", () => {
    const [EXEC, INTERP, X86_64, AARCH64] = [2, 3, 62, 183]
    expect(elf.readUInt16LE(16)).toBe(EXEC)
    expect(elf.readUInt16LE(18)).toBe(architecture === "amd64" ? X86_64 : AARCH64)
    const headers = Array.from({ length: elf.readUInt16LE(56) }, (_, i) => elf.readUInt32LE(64 + 56 * i))
    expect(headers.length).toBeGreaterThan(0)
    expect(headers).not.toContain(INTERP)
  })

  test("guards its stack, which is not executable", () => {
    const STACK = 0x6474e551
    const headers = Array.from({ length: elf.readUInt16LE(56) }, (_, i) => 64 + 56 * i)
    const flags = headers.filter((at) => elf.readUInt32LE(at) === STACK).map((at) => elf.readUInt32LE(at + 4))
    expect(flags).toEqual([PF_R | PF_W])
    expect(readFileSync(object).includes("__stack_chk_fail")).toBe(true)
  })

  test("contains a C library whose licence is at hand", () => {
    expect(readFileSync(muslLicense(architecture), "utf8")).toMatch(/Rich Felker[\s\S]*Permission is hereby granted/)
  })
})

test("a sanitized program ends where it leaves its memory", () => {
  const { compiler, flags, link } = toolchainFor("sanitized")
  const [object, executable] = [join(directory, "sanitized.o"), join(directory, "sanitized")]
  execFileSync(compiler, [...flags, ...ownFlags, "-c", file, "-o", object])
  execFileSync(compiler, link([object], executable))
  expect(spawnSync(executable, ["7"], { encoding: "utf8" })).toMatchObject({ status: 0 })
  const { status, stderr } = spawnSync(executable, ["8"], { encoding: "utf8" })
  expect(status).not.toBe(0)
  expect(stderr).toContain("index 8 out of bounds")
})
