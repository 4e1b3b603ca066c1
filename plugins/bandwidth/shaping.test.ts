import { describe, expect, test } from "vitest"
import { Undo } from "../../lib/net/undo.ts"
import { decodeLink } from "../../lib/netlink/route/link.ts"
import { agreed, EEXIST, FakeStack, found, linkMessage, refused } from "../../lib/testing/fake-stack.ts"
import { policeEgress } from "./shaping.ts"

const ENOENT = 2
const EINVAL = 22
const veth = decodeLink({
  type: 16,
  flags: 0,
  sequence: 1,
  payload: linkMessage({ index: 7, name: "veth0", kind: "veth" }),
})
const bucket = { rate: 2_000_000, buffer: 1_562_500, limit: 250_000 }

function police(stack: FakeStack): boolean | string {
  using undo = new Undo()
  try {
    const policed = policeEgress(stack, veth, bucket, undo)
    undo.commit()
    return policed
  } catch (error) {
    return String(error)
  }
}

/** RTM_NEWQDISC of a qdisc of that kind in the place of the ingress qdisc. */
function qdiscMessage(kind: string): Uint8Array {
  const words = new Uint32Array([0, 7, 0xffff0000, 0xfffffff1, 1])
  const name = new TextEncoder().encode(kind)
  const attribute = new Uint8Array(4 + 4 * Math.ceil((name.length + 1) / 4))
  attribute.set([5 + name.length, 0, 1, 0])
  attribute.set(name, 4)
  return Uint8Array.of(...new Uint8Array(words.buffer), ...attribute)
}

describe("policing", () => {
  test("takes two requests", () => {
    const stack = new FakeStack()
    expect(police(stack)).toBe(true)
    expect(stack.log).toEqual(["NEWQDISC", "NEWTFILTER"])
  })

  test("is not done by a kernel without act_police, which says ENOENT", () => {
    const stack = new FakeStack({ NEWTFILTER: [refused(ENOENT)] })
    expect(police(stack)).toBe(false)
  })

  test("takes the place of an earlier limit", () => {
    const stack = new FakeStack({ NEWQDISC: [refused(EEXIST)], GETQDISC: [found(36, qdiscMessage("ingress"))] })
    expect(police(stack)).toBe(true)
    expect(stack.log).toEqual(["NEWQDISC", "GETQDISC", "DELTFILTER", "NEWTFILTER"])
  })

  test("removes nothing of others", () => {
    const stack = new FakeStack({ NEWQDISC: [refused(EEXIST)], GETQDISC: [found(36, qdiscMessage("clsact"))] })
    expect(police(stack)).toContain("veth0 has a qdisc of others at its ingress: clsact ffff:")
    expect(stack.log).toEqual(["NEWQDISC", "GETQDISC"])
  })

  test("removes its qdisc if the filter is refused", () => {
    const stack = new FakeStack({ NEWQDISC: [agreed], NEWTFILTER: [refused(EINVAL)] })
    expect(police(stack)).toContain("cannot put all that link 7 receives through police")
    expect(stack.log).toEqual(["NEWQDISC", "NEWTFILTER", "DELQDISC"])
  })
})
