import { describe, expect, test } from "vitest"
import type { Attachment } from "../cni/attachment.ts"
import {
  attachmentAlias,
  attachmentInAlias,
  isAttachmentAlias,
  isOursOrUnfinished,
  isOursOrUnfinishedIn,
  isUnfinished,
} from "./alias.ts"

const attachment: Attachment = { network: "podnet", containerId: "0123456789abcdef", ifname: "eth0" }
const tooLong: Attachment = { ...attachment, containerId: "c".repeat(255) }
const bytesOf = (text: string) => new TextEncoder().encode(text).length

describe("the alias", () => {
  test("spells the attachment out, and is read again unless it is a digest", () => {
    expect(attachmentAlias(attachment)).toBe("cni-ts podnet 0123456789abcdef eth0")
    expect(attachmentInAlias(attachmentAlias(attachment))).toEqual(attachment)
    for (const alias of ["", attachmentAlias(tooLong), "cni-ts podnet c eth0 more", "somebody else's link"])
      expect(attachmentInAlias(alias)).toBeUndefined()
  })

  test("never exceeds the 254 bytes that the kernel takes: a longer one is a digest", () => {
    const length = bytesOf(attachmentAlias({ ...attachment, containerId: "" }))
    const longest = attachmentAlias({ ...attachment, containerId: "c".repeat(254 - length) })
    const shortened = attachmentAlias({ ...attachment, containerId: "c".repeat(255 - length) })
    expect(bytesOf(longest)).toBe(254)
    expect(longest).toContain("cni-ts podnet ")
    expect(shortened).toMatch(/^cni-ts sha512 [0-9a-f]{128}$/)
  })

  test("counts bytes, not characters", () => {
    expect(attachmentAlias({ ...attachment, ifname: "é".repeat(120) })).toMatch(/^cni-ts sha512 /)
  })

  test("is nobody's of ours that others gave a link", () => {
    expect([attachment, tooLong].map(attachmentAlias).every(isAttachmentAlias)).toBe(true)
    for (const alias of ["", "cni", "uplink to the core"]) expect(isAttachmentAlias(alias)).toBe(false)
  })
})

describe("a link whose name is one of the attachment's", () => {
  test.each([attachment, tooLong])("is ours or unfinished unless its alias is another's", (own) => {
    const another = attachmentAlias({ ...own, ifname: "net1" })
    const isOurs = (alias: string) => isOursOrUnfinished(alias, own)
    expect(["", attachmentAlias(own)].map(isOurs)).toEqual([true, true])
    expect([another, "uplink"].map(isOurs)).toEqual([false, false])
  })

  test("is unfinished without an alias alone", () => {
    expect(["", attachmentAlias(attachment), "uplink"].map(isUnfinished)).toEqual([true, false, false])
  })

  test("is of its network or unfinished unless its alias is another network's or others'", () => {
    const isOurs = (alias: string) => isOursOrUnfinishedIn(alias, "podnet")
    const other = attachmentAlias({ ...attachment, network: "podnet2" })
    expect(["", attachmentAlias(attachment), attachmentAlias(tooLong)].map(isOurs)).toEqual([true, true, true])
    expect([other, "uplink"].map(isOurs)).toEqual([false, false])
  })
})
