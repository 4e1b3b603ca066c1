import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { goExecutable } from "../../lib/testing/go-executable.ts"
import { readGoBuild } from "./go-build.ts"

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "cnits-go-"))
})
afterAll(() => rmSync(directory, { recursive: true }))

function read(bytes: Uint8Array) {
  const file = join(directory, "program")
  writeFileSync(file, bytes)
  return readGoBuild(file)
}

const PORTMAP = "github.com/containernetworking/plugins/plugins/meta/portmap"
const MODULE = "github.com/containernetworking/plugins"
const release = (version: string) =>
  `build\t-ldflags="-extldflags -static -X ${MODULE}/pkg/utils/buildversion.BuildVersion=${version}"`

describe("an executable of Go says its version", () => {
  test.each([
    ["as go install notes it", [`mod\t${MODULE}\tv1.9.1\th1:x=`], [1, 9, 1]],
    ["of its module in a list of others", ["mod\tx\tv2.0.10\t", "dep\ty\tv1.0.0\t"], [2, 0, 10]],
    ["as the reference's releases are made", [`mod\t${MODULE}\t(devel)\t`, release("v1.3.0")], [1, 3, 0]],
    ["with what a distribution adds", [`mod\t${MODULE}\tv1.1.1+ds1\t`], [1, 1, 1]],
    ["not before it is released", [`mod\t${MODULE}\tv1.0.0-rc1\t`], undefined],
    ["not of a commit", [`mod\t${MODULE}\tv0.0.0-20230101000000-0123456789ab\t`], undefined],
    ["not as Debian makes it", ["build\t-trimpath=true"], undefined],
  ])("%s", (_, lines, version) => {
    expect(read(goExecutable(PORTMAP, lines))).toEqual({ path: PORTMAP, version })
  })
})

describe("another file says nothing", () => {
  const whole = goExecutable(PORTMAP, ["mod\tx\tv1.0.0\t"])
  test.each([
    ["a script", Buffer.from("#!/bin/sh\n")],
    ["an empty one", Buffer.alloc(0)],
    ["another executable", Buffer.from(whole.toString("latin1").replace(".go.buildinfo", ".no.buildinfo"), "latin1")],
    ["of old Go, with pointers", Buffer.from(whole.toString("latin1").replace("\x08\x02", "\x08\x00"), "latin1")],
    ["for 32 bits", Buffer.from(whole.toString("latin1").replace("ELF\x02", "ELF\x01"), "latin1")],
  ])("%s", (_, bytes) => {
    expect(read(bytes)).toBeUndefined()
  })

  test("one that is cut anywhere before the end of its list of sections", () => {
    const last = whole.length - 64 + 40 // where the last section's length ends
    for (let length = 0; length < last; length += 5) expect(read(whole.subarray(0, length))).toBeUndefined()
  })

  test("one with a byte changed anywhere is read to an end", () => {
    for (let at = 0; at < whole.length; at += 3) {
      const changed = Buffer.from(whole)
      changed[at] = 0xff
      expect(["undefined", "object"]).toContain(typeof read(changed))
    }
  })

  test("one that is not there, a directory", () => {
    expect(readGoBuild(join(directory, "nothing"))).toBeUndefined()
    expect(readGoBuild(directory)).toBeUndefined()
  })
})
