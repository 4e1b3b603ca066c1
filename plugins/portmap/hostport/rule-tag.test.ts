import { describe, expect, test } from "vitest"
import { commentData } from "../../../lib/netlink/netfilter/comment.ts"
import { attachmentIn, commentOf, isNoteIn, tagOf } from "./rule-tag.ts"

const attachment = { network: "podnet", containerId: "3f2a", ifname: "eth0" }
const long = { network: "n".repeat(200), containerId: "c".repeat(300), ifname: "x".repeat(15) }

test("the comment is the container's id alone, as the Go plugin's is", () => {
  expect(tagOf(attachment)).toEqual({ comment: "3f2a", note: "podnet eth0" })
  expect(commentOf("c".repeat(128))).toBe("c".repeat(128))
})

test("a tag names its attachment", () => {
  expect(attachmentIn(tagOf(attachment))).toEqual(attachment)
  expect(attachmentIn({ comment: "3f2a", note: undefined })).toBeUndefined()
})

describe("long names", () => {
  test("fit into what the kernel has room for, and stay apart", () => {
    const { comment, note } = tagOf(long)
    expect(commentData(comment, note).length).toBeLessThanOrEqual(256)
    expect(comment).not.toBe(commentOf(`${"c".repeat(299)}d`))
    expect(isNoteIn("n".repeat(200), note)).toBe(true)
    expect(isNoteIn("n".repeat(201), note)).toBe(false)
  })

  test("are digests, which name no attachment", () => {
    expect(attachmentIn(tagOf(long))).toBeUndefined()
    expect(attachmentIn(tagOf({ ...attachment, containerId: long.containerId }))).toBeUndefined()
  })
})

test("a network's name that begins another's is not it", () => {
  expect(isNoteIn("pod", "podnet eth0")).toBe(false)
  expect(isNoteIn("podnet", "podnet eth0")).toBe(true)
})
