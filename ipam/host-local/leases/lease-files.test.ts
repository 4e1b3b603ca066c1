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
import { address, held, holder, inStore, lease, network, put } from "../../../lib/testing/leases.ts"

describe("a lease", () => {
  test("is a file of the Go plugin's: its name the address, its content the holder", () => {
    const place = network()
    expect(lease(place, holder("a"), ["10.1.2.3", "fd00::3"])).toEqual([true, true])
    expect(readdirSync(place.directory).sort()).toEqual(["10.1.2.3", "fd00::3", "lock"])
    expect(readFileSync(`${place.directory}/10.1.2.3`, "utf8")).toBe("a\r\neth0")
    expect(statSync(`${place.directory}/10.1.2.3`)).toMatchObject({ mode: 0o100600, nlink: 2 })
    expect(held(place, holder("a"))).toEqual(["10.1.2.3", "fd00::3"])
  })
})

describe("last_reserved_ip", () => {
  test("is written in place, never empty, and a shorter one leaves nothing of a longer one", () => {
    const place = network()
    const path = `${place.directory}/last_reserved_ip.0`
    inStore(place, (store) => store.setLastReserved(0, address("10.1.2.200")))
    const { ino } = statSync(path)
    inStore(place, (store) => store.setLastReserved(0, address("10.1.2.3")))
    expect(readFileSync(path, "utf8")).toBe("10.1.2.3")
    expect(statSync(path)).toMatchObject({ ino, mode: 0o100600 })
    expect(inStore(place, (store) => store.lastReserved(0))).toEqual(address("10.1.2.3"))
    expect(inStore(place, (store) => store.lastReserved(1))).toBeUndefined()
  })

  test.each(["", "\0\0\0", "nonsense", "10.1.2.3/24"])("is none if the file says %j", (text) => {
    const place = network()
    put(place, "last_reserved_ip.0", text)
    expect(inStore(place, (store) => store.lastReserved(0))).toBeUndefined()
  })

  test("replaces a symbolic link, a pipe or another name of a lease, and does not write to them", () => {
    const place = network()
    const victim = `${place.dataDir}/victim`
    writeFileSync(victim, "precious")
    mkdirSync(place.directory)
    symlinkSync(victim, `${place.directory}/last_reserved_ip.0`)
    execFileSync("mkfifo", [`${place.directory}/last_reserved_ip.1`])
    inStore(place, (store) => {
      for (const set of [0, 1]) store.setLastReserved(set, address("10.1.2.3"))
    })
    expect(readFileSync(victim, "utf8")).toBe("precious")
    for (const set of [0, 1]) expect(lstatSync(`${place.directory}/last_reserved_ip.${set}`).isFile()).toBe(true)
  })
})

describe("what a crash or somebody else left", () => {
  test.each(["", "\0\0\0\0", "\r\n"])(
    "under an address is garbage if it is %j: the address is free again",
    (content) => {
      const place = network()
      put(place, "10.1.2.3", content)
      expect(lease(place, holder("a"), ["10.1.2.3"])).toEqual([true])
    },
  )

  test("under an address, if it is anything else, reserves it, and stays", () => {
    const place = network()
    put(place, "10.1.2.2", "do not use: printer")
    put(place, "10.1.2.3", "x".repeat(2 << 20))
    mkdirSync(`${place.directory}/10.1.2.4`)
    symlinkSync("/etc/hostname", `${place.directory}/10.1.2.5`)
    symlinkSync("nowhere", `${place.directory}/10.1.2.6`)
    execFileSync("mkfifo", [`${place.directory}/10.1.2.7`])
    const texts = ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6", "10.1.2.7"]
    expect(lease(place, holder("a"), [...texts])).toEqual(texts.map(() => false))
    expect(readdirSync(place.directory).sort()).toEqual([...texts, "lock"])
  })

  test("under other names is nobody's lease", () => {
    const place = network()
    for (const name of ["010.1.2.3", "fd00:0::3", "FD00::4", "notes"]) put(place, name, "a\r\neth0")
    expect(held(place, holder("a"))).toEqual([])
    expect(readdirSync(place.directory)).toHaveLength(5)
  })

  test("as the scratch file is removed, not written to: it may be a second name of a lease", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    linkSync(`${place.directory}/10.1.2.3`, `${place.directory}/.lease.tmp`)
    lease(place, holder("b"), ["10.1.2.4"])
    expect(readFileSync(`${place.directory}/10.1.2.3`, "utf8")).toBe("a\r\neth0")
    expect(readFileSync(`${place.directory}/10.1.2.4`, "utf8")).toBe("b\r\neth0")
    expect(existsSync(`${place.directory}/.lease.tmp`)).toBe(false)
  })
})
