import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, describe, expect, test } from "vitest"
import { type Mac, parseMac } from "../../lib/ip/mac.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import { scratchDirectory } from "../../lib/testing/scratch.ts"
import { Backup, listStale, parseBackup, printBackup, removeStale, settingsBefore } from "./backup.ts"

const mac = parseMac("02:00:00:00:00:0a") as Mac
const other = parseMac("02:00:00:00:00:0b") as Mac
const whole = { mac, mtu: 1500, promiscuous: false, allMulticast: true, transmitQueueLength: 1000 }

/** As the reference writes it. */
const WHOLE = `{
 "mac": "02:00:00:00:00:0a",
 "promisc": false,
 "mtu": 1500,
 "allmulti": true,
 "txQLen": 1000
}`

test("the file is the reference's, byte for byte, and is read as it was written", () => {
  expect(printBackup(whole)).toBe(WHOLE)
  expect(parseBackup(WHOLE)).toEqual(whole)
  expect(printBackup({ mtu: 1400 })).toBe('{\n "mtu": 1400\n}')
  expect(printBackup({ mac: new Uint8Array() })).toBe("{}")
})

test.each([
  "",
  "no JSON",
  "[]",
  "null",
  "1",
  '{"mac":1,"mtu":-1,"promisc":"x","allmulti":0,"txQLen":1.5}',
  '{"mac":"x","mtu":0}',
])("of the damaged file %j nothing is restored", (text) => {
  expect(parseBackup(text)).toEqual({})
})

describe("what DEL restores", () => {
  const link = whole as unknown as Link

  test("is what the link had of the settings that are wanted", () => {
    expect(settingsBefore(link, { mac: other, mtu: 1400 }, {})).toEqual({ mac, mtu: 1500 })
  })

  test("is what an ADD before kept, of settings that are as wanted already", () => {
    const kept = { mac: other, mtu: 9000, transmitQueueLength: 5 }
    expect(settingsBefore(link, { mac, mtu: 1500, transmitQueueLength: 6 }, kept)).toEqual({
      mac: other,
      mtu: 9000,
      transmitQueueLength: 1000,
    })
    expect(settingsBefore(link, { mac, mtu: 1500 }, {})).toEqual({ mac, mtu: 1500 })
  })
})

describe("the files", () => {
  const attachment = { network: "net", containerId: "c_1", ifname: "eth0" }
  let directory: string
  let file: string
  beforeEach(() => {
    directory = join(scratchDirectory(), "tuning")
    file = join(directory, "c_1_eth0.json")
  })

  test("are made with their directories, for root alone, and replaced and removed together", () => {
    const backup = new Backup(directory, attachment)
    expect(backup.read()).toBeUndefined()
    backup.write("1")
    backup.write("2")
    expect([backup.read(), readFileSync(file, "utf8")]).toEqual(["2", "2"])
    expect([directory, file].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o600])
    backup.remove()
    backup.remove()
    expect([existsSync(file), listStale(directory, "net", [])]).toEqual([false, []])
  })

  test("are stale if they are the network's and none of the attachments'", () => {
    new Backup(directory, attachment).write("x")
    new Backup(directory, { ...attachment, network: "other", ifname: "eth1" }).write("x")
    expect(listStale(directory, "net", [attachment])).toEqual([])
    expect(listStale(directory, "net", [{ ...attachment, containerId: "c" }])).toEqual(["c_1_eth0.json"])
    removeStale(directory, "net", "c_1_eth0.json")
    expect([existsSync(file), existsSync(join(directory, "c_1_eth1.json"))]).toEqual([false, true])
    expect(listStale(directory, "net", [])).toEqual([])
  })

  test("are spared if another network, or the reference, has made one of that name since", () => {
    new Backup(directory, attachment).write("x")
    new Backup(directory, { ...attachment, network: "other" }).write("y")
    removeStale(directory, "net", "c_1_eth0.json")
    expect(readFileSync(file, "utf8")).toBe("y")
    expect(listStale(directory, "net", [])).toEqual([])
  })

  test("that a killed ADD left under the network's name alone are stale, too", () => {
    mkdirSync(join(directory, ".cni-ts/net"), { recursive: true })
    writeFileSync(join(directory, ".cni-ts/net/c_1_eth0.json"), "x")
    removeStale(directory, "net", "c_1_eth0.json")
    expect(listStale(directory, "net", [])).toEqual([])
  })

  test("of names that no file can have are none", () => {
    const backup = new Backup(directory, { ...attachment, network: "n".repeat(300), containerId: "c".repeat(300) })
    expect(backup.read()).toBeUndefined()
    backup.remove()
    const long = new Backup(directory, { ...attachment, network: "n".repeat(300) })
    long.write("x")
    expect(listStale(directory, "n".repeat(300), [])).toEqual(["c_1_eth0.json"])
  })

  test("if somebody else makes one meanwhile, ADD says so", () => {
    const backup = new Backup(directory, attachment)
    mkdirSync(file, { recursive: true })
    expect(() => backup.write("x")).toThrow()
  })
})
