import { afterEach, describe, expect, test } from "vitest"
import { acknowledge, refuse, refuseAt } from "../testing/fake-kernel.ts"
import { fromHex } from "../testing/recorded.ts"
import { decodeMessages, encodeMessage } from "./message.ts"
import { nfnetlink } from "./netfilter/protocol.ts"
import { rtnetlink } from "./route/rtnetlink.ts"
import { traceNetlink, tracer, traceSysctl } from "./trace.ts"

afterEach(() => traceNetlink(undefined))

const [NFT_MSG_NEWRULE, NFT_MSG_GETRULE] = [0xa06, 0xa07]

/** Returns the log of a socket that sends and receives these datagrams, in turn. */
function told(...datagrams: Uint8Array[]): object[] {
  const messages: object[] = []
  traceNetlink((message) => messages.push(message))
  const observer = tracer(rtnetlink, "/run/netns/pod")
  for (const [at, datagram] of datagrams.entries()) {
    if (at % 2 === 0) observer?.sent(datagram)
    else observer?.received(datagram)
    datagram.fill(0xee) // buffers are used again
  }
  return messages
}

const changeMtu = () =>
  encodeMessage({ type: 16, flags: 5, sequence: 3 }, (writer) =>
    writer.raw(fromHex("00000000020000000000000000000000" + "0800040070110100")),
  )

const [request = { type: 0, flags: 0, sequence: 0, payload: new Uint8Array() }] = decodeMessages(changeMtu())

describe("a trace", () => {
  test("tells nothing, and watches no socket, unless somebody listens", () => {
    expect(tracer(rtnetlink, undefined)).toBeUndefined()
  })

  test("tells of sysctls in their place", () => {
    const messages: object[] = []
    traceNetlink((message) => messages.push(message))
    traceSysctl("/run/netns/pod", "net/ipv4/ip_forward", "1")
    traceNetlink(undefined)
    traceSysctl(undefined, "net/ipv4/ip_forward", "0")
    const about = { direction: "sent", family: "sysctl", netns: "/run/netns/pod" }
    expect(messages).toEqual([{ ...about, name: "net/ipv4/ip_forward", value: "1" }])
  })

  test("leaves out, if it is brief, what the kernel says of its packet filter, but not if it refuses", () => {
    const messages: object[] = []
    traceNetlink((message) => messages.push(message), true)
    const ask = (type: number) => encodeMessage({ type, flags: 1, sequence: 4 }, (writer) => writer.u32(2))
    const [asked = request] = decodeMessages(ask(NFT_MSG_GETRULE))
    const socket = tracer(nfnetlink, undefined)
    socket?.sent(ask(NFT_MSG_GETRULE))
    socket?.received(ask(NFT_MSG_NEWRULE))
    socket?.received(refuse(asked, 2))
    tracer(rtnetlink, undefined)?.received(changeMtu())
    expect(messages).toMatchObject([
      { direction: "sent", type: "NFT_MSG_GETRULE" },
      { direction: "received", type: "NLMSG_ERROR", error: "ENOENT" },
      { direction: "received", type: "RTM_NEWLINK" },
    ])
  })

  test("tells each message as it goes, with its socket's namespace, and the attribute of the request that is refused", () => {
    const about = { family: "route", netns: "/run/netns/pod" }
    expect(told(changeMtu(), refuseAt(request, 34, 32, "too large"))).toEqual([
      expect.objectContaining({ direction: "sent", ...about, type: "RTM_NEWLINK", attributes: { IFLA_MTU: 70_000 } }),
      {
        direction: "received",
        ...about,
        type: "NLMSG_ERROR",
        flags: ["CAPPED", "ACK_TLVS"],
        seq: 3,
        error: "ERANGE",
        words: "too large",
        attribute: "IFLA_MTU",
      },
    ])
  })

  test("tells all messages of a datagram", () => {
    const two = Uint8Array.from([...changeMtu(), ...changeMtu()])
    expect(told(two, acknowledge(request))).toMatchObject([
      { direction: "sent", type: "RTM_NEWLINK" },
      { direction: "sent", type: "RTM_NEWLINK" },
      { direction: "received", error: 0 },
    ])
  })

  test("tells in hex what it cannot read", () => {
    expect(told(fromHex("ff"))).toMatchObject([
      { direction: "sent", malformed: "malformed netlink message: message header cut short at byte 0", datagram: "ff" },
    ])
  })
})
