import { describe, expect, test } from "vitest"
import { commentData } from "../../../lib/netlink/netfilter/comment.ts"
import { commentOf, isNoteOf, markOf, ownerIn } from "./marks.ts"

const attachment = { network: "podnet", containerId: "3f2a", ifname: "eth0" }
const long = { network: "n".repeat(200), containerId: "c".repeat(300), ifname: "x".repeat(15) }

test("the comment is the container's id alone, as the Go plugin's is", () => {
  expect(markOf(attachment)).toEqual({ comment: "3f2a", note: "podnet eth0" })
  expect(commentOf("c".repeat(128))).toBe("c".repeat(128))
})

test("whose a rule is can be read back", () => {
  expect(ownerIn(markOf(attachment))).toEqual(attachment)
  expect(ownerIn({ comment: "3f2a", note: undefined })).toBeUndefined()
})

describe("long names", () => {
  test("fit into what the kernel has room for, and stay apart", () => {
    const { comment, note } = markOf(long)
    expect(commentData(comment, note).length).toBeLessThanOrEqual(256)
    expect(comment).not.toBe(commentOf(`${"c".repeat(299)}d`))
    expect(isNoteOf("n".repeat(200), note)).toBe(true)
    expect(isNoteOf("n".repeat(201), note)).toBe(false)
  })

  test("do not tell whose a rule is", () => {
    expect(ownerIn(markOf(long))).toBeUndefined()
    expect(ownerIn(markOf({ ...attachment, containerId: long.containerId }))).toBeUndefined()
  })
})

test("a network's name that begins another's is not it", () => {
  expect(isNoteOf("pod", "podnet eth0")).toBe(false)
  expect(isNoteOf("podnet", "podnet eth0")).toBe(true)
})
