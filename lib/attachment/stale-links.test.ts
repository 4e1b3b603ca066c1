import { describe, expect, test } from "vitest"
import { Failures } from "../cni/failures.ts"
import { decodeLink, type Link } from "../netlink/route/link.ts"
import { agreed, FakeStack, linkMessage, refused, type Script } from "../testing/fake-stack.ts"
import { removeStaleLinks } from "./stale-links.ts"

const [EPERM, ENODEV] = [1, 19]
const NEWLINK = 16

/** Removes so many links of a node that answers by this script; the indices of those that are told as gone, and what was asked. */
function remove(count: number, script: Script = {}) {
  const links = Array.from({ length: count }, (_, at): Link => {
    const payload = linkMessage({ index: at + 2, name: `veth${at}`, kind: "veth" })
    return decodeLink({ type: NEWLINK, flags: 0, sequence: 0, payload })
  })
  const [node, failures, gone] = [new FakeStack(script), new Failures(), [] as number[]]
  removeStaleLinks(node, links, failures, ({ index }) => gone.push(index))
  return { gone, log: node.log, rethrow: () => failures.rethrow() }
}

describe("stale links", () => {
  test("go together, each as the member of a group", () => {
    const { gone, log, rethrow } = remove(3)
    expect(log).toEqual(["NEWLINK", "NEWLINK", "NEWLINK", "DELLINK"])
    expect(gone).toEqual([2, 3, 4])
    expect(rethrow).not.toThrow()
  })

  test("go without a group if there is one, and not at all if there is none", () => {
    expect(remove(1).log).toEqual(["DELLINK"])
    expect(remove(0).log).toEqual([])
  })

  test("are so many at most that others need not wait long for the kernel", () => {
    const { gone, log } = remove(40)
    expect(log.filter((name) => name === "DELLINK")).toHaveLength(3)
    expect(gone).toHaveLength(40)
  })

  test("that are gone already are not told, and keep no other", () => {
    const { gone, rethrow } = remove(3, {
      NEWLINK: [agreed, refused(ENODEV), agreed],
      DELLINK: [agreed, refused(ENODEV)],
    })
    expect(gone).toEqual([2, 4])
    expect(rethrow).not.toThrow()
  })

  test("go one by one, each with its own failure, if the group is refused", () => {
    const { gone, log, rethrow } = remove(3, { DELLINK: [refused(EPERM), agreed, refused(EPERM), agreed] })
    expect(log.slice(3)).toEqual(["DELLINK", "DELLINK", "DELLINK", "DELLINK"])
    expect(gone).toEqual([2, 4])
    expect(rethrow).toThrow("cannot delete link 3: EPERM")
  })
})
