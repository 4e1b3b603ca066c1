import { lstatSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { formatAddress } from "../../../lib/ip/address.ts"
import { held, holder, inStore, lease, network, type TestNetwork } from "../../../lib/testing/leases.ts"

describe("the index", () => {
  const damages: [string, (place: TestNetwork) => void][] = [
    ["removed", ({ index }) => rmSync(index, { recursive: true })],
    ["emptied", ({ index }) => eachPart(index, "")],
    ["full of zeros as by a power cut, which keeps times", ({ index }) => keepingTimes(index, "\0".repeat(60))],
    ["wrong", ({ index }) => keepingTimes(index, 'cni-ts lease index 2\n"a\\r\\neth0" 10.1.2.77\n')],
    ["nonsense", ({ index }) => keepingTimes(index, 'cni-ts lease index 2\n"a\\r\\neth0" nonsense\n')],
    [
      "a file",
      ({ index }) => {
        rmSync(index, { recursive: true })
        writeFileSync(index, "")
      },
    ],
  ]

  test.each(damages)("may be %s: leases are found all the same", (_, harm) => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    lease(place, holder("b"), ["10.1.2.4"])
    harm(place)
    expect(held(place, holder("a"))).toEqual(["10.1.2.3"])
    harm(place)
    expect(inStore(place, (store) => store.free(holder("a")))).toBe(true)
    expect(held(place, holder("b"))).toEqual(["10.1.2.4"])
  })

  test("bears the mark of the leases once they are closed, and reading changes neither", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    const marks = () => [place.index, place.directory].map((path) => statSync(path).mtimeMs)
    const [mark, same] = marks()
    expect(same).toBe(mark)
    expect(new Date(mark ?? 0).getUTCFullYear()).toBeLessThan(1980)
    held(place, holder("a"))
    expect(marks()).toEqual([mark, mark])
  })

  test("spares reading the leases of others", () => {
    const place = network()
    lease(place, holder("a"), ["10.1.2.3"])
    lease(place, holder("b"), ["10.1.2.4"])
    const hidden = `${place.directory}/10.1.2.4`
    const { atime, mtime } = statSync(place.directory)
    rmSync(hidden)
    utimesSync(place.directory, atime, mtime) // as if nobody had changed anything
    inStore(place, (store) => expect(store.addressesOf(holder("a")).map(formatAddress)).toEqual(["10.1.2.3"]))
    expect(readFileSync(`${place.index}/${readdirSync(place.index).sort()[0]}`, "utf8")).toContain("cni-ts lease index")
    expect(statSync(place.directory).mtimeMs).toBe(mtime.getTime())
  })

  function eachPart(index: string, text: string): void {
    for (const name of readdirSync(index)) writeFileSync(`${index}/${name}`, text)
  }

  function keepingTimes(index: string, text: string): void {
    if (!lstatSync(index).isDirectory()) return
    const { atime, mtime } = statSync(index)
    eachPart(index, text)
    utimesSync(index, atime, mtime)
  }
})
