import { describe, expect, test } from "vitest"
import { holderOf, legacyHolderOf, readHolder } from "./lease-holder.ts"

describe("the holder of a lease", () => {
  test("is written as container id, CR LF, interface name, without whitespace around the id", () => {
    expect(holderOf({ containerId: " \tabc\n", ifname: "eth0" })).toBe("abc\r\neth0")
    expect(legacyHolderOf({ containerId: " abc " })).toBe("abc")
  })

  test("is read from a file with or without interface name, whitespace around it aside", () => {
    expect(readHolder("abc\r\neth0")).toBe(holderOf({ containerId: "abc", ifname: "eth0" }))
    expect(readHolder(" abc\n")).toBe(legacyHolderOf({ containerId: "abc" }))
  })

  test.each(["", " \r\n", "\0\0\0\0", "abc\0\0"])("is nobody in a file that a crash left behind: %j", (content) => {
    expect(readHolder(content)).toBeUndefined()
  })
})
