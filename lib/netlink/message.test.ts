import { describe, expect, test } from "vitest"
import { acknowledge, done, refuse } from "../testing/fake-kernel.ts"
import { fromHex, recorded, toHex } from "../testing/recorded.ts"
import { WireError } from "./attribute.ts"
import { decodeMessages, encodeMessage, type Message, NLMSG_DONE, NLMSG_ERROR, refusalIn } from "./message.ts"

const request: Message = { type: 16, flags: 0x605, sequence: 7, payload: new Uint8Array(22) }

function only(datagram: Uint8Array): Message {
  const [message, ...more] = decodeMessages(datagram)
  if (!message || more.length > 0) throw new Error(`${more.length + 1} messages`)
  return message
}

describe("messages", () => {
  test("a header is length, type, flags, sequence and a port left to the kernel", () => {
    const message = encodeMessage({ type: 0x12, flags: 0x305, sequence: 0x01020304 }, (writer) => writer.u32(0xff))
    expect(toHex(message)).toBe("14000000" + "1200" + "0503" + "04030201" + "00000000" + "ff000000")
  })

  test("a recorded dump of links is three messages in a datagram, each with the flags and the length the kernel gave it", () => {
    const [, links = new Uint8Array()] = recorded("ip -d -j link show").replies
    const messages = decodeMessages(links)
    expect(messages.map(({ type, flags }) => [type, flags & 0x2])).toEqual([
      [16, 2],
      [16, 2],
      [16, 2],
    ])
    expect(messages.reduce((sum, { payload }) => sum + 16 + payload.length, 0)).toBe(links.length)
    expect(new Set(messages.map(({ sequence }) => sequence)).size).toBe(1)
  })

  test("an empty datagram holds no message", () => {
    expect(decodeMessages(new Uint8Array())).toEqual([])
  })

  test.each([
    ["a header cut short", "1400000012000503", 0],
    ["a length below the header's", "0f00000012000503000000000000000000000000", 0],
    ["a length of zero, which would never end", "0000000012000503000000000000000000000000", 0],
    ["a length beyond the datagram", "1500000012000503000000000000000000000000", 0],
    ["a length near 2^32", "ffffffff12000503000000000000000000000000", 0],
    ["a second message cut short", `${"14000000120005030000000000000000ff000000"}14000000`, 20],
  ])("%s is a WireError that says where", (_, hex, offset) => {
    expect(() => decodeMessages(fromHex(hex))).toThrow(WireError)
    expect(() => decodeMessages(fromHex(hex))).toThrow(`at byte ${offset}`)
  })
})

describe("refusals", () => {
  test("an acknowledgement is none, and neither is the end of a dump", () => {
    expect(refusalIn(only(acknowledge(request)), "do it")).toBeUndefined()
    expect(refusalIn(only(done(request)), "do it")).toBeUndefined()
    expect(refusalIn({ ...request, type: NLMSG_DONE, payload: new Uint8Array() }, "do it")).toBeUndefined()
  })

  test("a recorded one, with the whole request in it, carries the words that iproute2 printed", () => {
    const { errors, replies } = recorded("ip -n pod route add 10.7.0.0/16 via 10.99.0.1")
    expect(errors).toBe("Error: Nexthop has invalid gateway.")
    const error = refusalIn(only(replies[0] ?? new Uint8Array()), "add route 10.7.0.0/16")
    expect(error?.message).toBe(
      'cannot add route 10.7.0.0/16: ENETUNREACH (network is unreachable), kernel says "Nexthop has invalid gateway"',
    )
    expect(error?.errno).toBe("ENETUNREACH")
  })

  test("a recorded end of a dump carries the number and the words that iproute2 printed", () => {
    const { errors, replies } = recorded("ip route show table 4000")
    expect(errors).toContain("Error: ipv4: FIB table does not exist.")
    const end = only(replies[0] ?? new Uint8Array())
    expect(end.type).toBe(NLMSG_DONE)
    expect(refusalIn(end, "list IPv4 routes")?.message).toBe(
      'cannot list IPv4 routes: ENOENT (no such file or directory), kernel says "ipv4: FIB table does not exist"',
    )
  })

  test("a recorded one without words has none", () => {
    const [reply = new Uint8Array()] = recorded("ip address add 10.244.1.1/24 dev cni0").replies
    expect(refusalIn(only(reply), "add it")?.message).toBe("cannot add it: EEXIST (file exists)")
  })

  test.each([true, false])("the words are found behind the refused request, capped: %s", (capped) => {
    const error = refusalIn(only(refuse(request, 16, "Device is in use", capped)), "do it")
    expect(error?.message).toBe('cannot do it: EBUSY (device or resource busy), kernel says "Device is in use"')
  })

  test("a number that is in no table is told as it is", () => {
    expect(refusalIn(only(refuse(request, 524)), "do it")?.message).toBe("cannot do it: errno 524")
  })

  const refusal = (hex: string, flags: number): Message => ({
    ...request,
    type: NLMSG_ERROR,
    flags,
    payload: fromHex(hex),
  })
  const header = "26000000100005060700000000000000"

  test.each([
    ["without a number", refusal("", 0)],
    ["with half a number", refusal("f0ff", 0)],
    ["that promises words but ends before the refused header", refusal("f0ffffff", 0x200)],
    ["whose refused request is longer than the message", refusal(`f0ffffff${header}`, 0x200)],
    ["whose refused request claims to be 2^31 bytes", refusal(`f0ffffff00000080${header.slice(8)}`, 0x200)],
    ["whose refused request claims to be shorter than a header", refusal(`f0ffffff04000000${header.slice(8)}`, 0x200)],
    ["whose words do not fit", refusal(`f0ffffff${header}ff00010041`, 0x300)],
  ])("one %s is a WireError", (_, message) => {
    expect(() => refusalIn(message, "do it")).toThrow(WireError)
  })
})
