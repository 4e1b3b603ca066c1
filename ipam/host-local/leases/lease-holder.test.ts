import { describe, expect, test } from "vitest"
import { legacyOwnerOf, ownerOf, readOwner } from "./lease-holder.ts"

describe("the owner of a lease", () => {
  test("is written as container id, CR LF, interface name, without whitespace around the id", () => {
    expect(ownerOf({ containerId: " \tabc\n", ifname: "eth0" })).toBe("abc\r\neth0")
    expect(legacyOwnerOf({ containerId: " abc " })).toBe("abc")
  })

  test("is read from a file with or without interface name, whitespace around it aside", () => {
    expect(readOwner("abc\r\neth0")).toBe(ownerOf({ containerId: "abc", ifname: "eth0" }))
    expect(readOwner(" abc\n")).toBe(legacyOwnerOf({ containerId: "abc" }))
  })

  test.each(["", " \r\n", "\0\0\0\0", "abc\0\0"])("is nobody in a file that a crash left behind: %j", (content) => {
    expect(readOwner(content)).toBeUndefined()
  })
})
