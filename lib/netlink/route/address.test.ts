import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { addressFromBytes, parseAddress } from "../../ip/address.ts"
import { formatPrefix, type Prefix, parsePrefix } from "../../ip/prefix.ts"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { done, FakeKernel, part, refuse, replay, requestOf } from "../../testing/fake-kernel.ts"
import { fromHex, recorded } from "../../testing/recorded.ts"
import { decodeMessages, type Message } from "../message.ts"
import { addAddress, decodeAddress, listAddresses, removeAddress } from "./address.ts"

const shape: Shape = { header: 8, nested: {} }
const prefix = (text: string) => parsePrefix(text) as Prefix
const ours = (text: string, skipDetection = false) =>
  requestTree(
    requestOf((kernel) => addAddress(kernel, { index: 2, link: "eth0", prefix: prefix(text), skipDetection })),
    shape,
  )

describe("requests say what iproute2 says", () => {
  test("to add an IPv4 address with its broadcast address", () => {
    const command = "ip -n pod address add 10.244.1.5/24 broadcast 10.244.1.255 dev eth0"
    expect(ours("10.244.1.5/24")).toEqual(requestTree(recorded(command).request, shape))
  })

  test("to add an IPv6 address without duplicate detection, its flag in the attribute that has room for all flags", () => {
    const command = "ip -n pod address add fd00:10:244:1::5/64 nodad dev eth0"
    const theirs = requestTree(recorded(command).request, shape)
    expect(theirs["header"]).toBe("0a40020002000000")
    expect(ours("fd00:10:244:1::5/64", true)).toEqual({ ...theirs, header: "0a40000002000000", 8: "02000000" })
  })

  test("to remove an address", () => {
    const request = requestOf((kernel) => removeAddress(kernel, 2, "cni0", prefix("10.244.1.1/24")))
    const command = "ip address del 10.244.1.1/24 dev cni0"
    expect(requestTree(request, shape)).toEqual(requestTree(recorded(command).request, shape))
  })
})

test.each([
  ["10.1.2.3/31", undefined],
  ["10.1.2.3/32", undefined],
  ["10.1.2.3/30", "0a010203"],
  ["10.1.2.3/16", "0a01ffff"],
  ["fd00::1/64", undefined],
])("the broadcast address of %s is %s", (text, broadcast) => {
  expect(ours(text)["4"]).toBe(broadcast)
})

describe("replies mean what ip printed", () => {
  interface Printed {
    readonly ifindex: number
    readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly tentative?: boolean }[]
  }

  test.each(["ip -j address show", "ip -n pod -j address show"])("%s", (command) => {
    const { replies, output } = recorded(command)
    const printed = (output as Printed[]).flatMap(({ ifindex, addr_info }) =>
      addr_info.map(({ local, prefixlen, tentative = false }) => `${ifindex} ${local}/${prefixlen} ${tentative}`),
    )
    const decoded = replies
      .flatMap(decodeMessages)
      .filter(({ type }) => type === 20)
      .map(decodeAddress)
      .map((found) => `${found.index} ${formatPrefix(found.prefix)} ${found.tentative}`)
    expect(printed.length).toBeGreaterThan(2)
    expect(decoded.sort()).toEqual(printed.sort())
  })
})

test("what is added is read back the same, whatever the address", () => {
  const raw = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  fc.assert(
    fc.property(raw, fc.nat(128), fc.integer({ min: 1, max: 0x7fffffff }), (bytes, bits, index) => {
      const address = addressFromBytes(bytes)
      if (!address) throw new Error("4 or 16 bytes are an address")
      const wanted = { address, length: Math.min(bits, bytes.length * 8) }
      const request = requestOf((kernel) => addAddress(kernel, { index, link: "eth0", prefix: wanted }))
      expect(decodeMessages(request).map(decodeAddress)).toMatchObject([{ index, prefix: wanted }])
    }),
  )
})

const message = (hex: string): Message => ({ type: 20, flags: 0, sequence: 1, payload: fromHex(hex) })

test.each([
  ["tentative", "40000000", { tentative: true, duplicate: false }],
  ["a duplicate, for which the kernel keeps both marks", "48000000", { tentative: false, duplicate: true }],
  ["neither", "80000000", { tentative: false, duplicate: false }],
])("an address is %s by its flags, which outrank those of the header", (_, flags, expected) => {
  const header = "0a40ff0002000000"
  const address = `14000100fd00${"00".repeat(13)}01`
  expect(decodeAddress(message(`${header}${address}08000800${flags}`))).toMatchObject(expected)
})

describe("what makes no sense is a WireError", () => {
  test.each([
    ["a message shorter than its header", "02180000020000", "cut short"],
    ["no address at all", "0218000002000000", "without an address"],
    ["an IPv4 prefix of 33 bits", "022100000200000008000200" + "0a000001", "prefix length 33"],
    ["an IPv6 address in an IPv4 message", `0218000002000000${"14000100"}${"00".repeat(16)}`, "family 2"],
  ])("%s", (_, hex, words) => {
    expect(() => decodeAddress(message(hex))).toThrow(words)
  })
})

describe("listing", () => {
  test("gives the addresses of one link, even where the kernel does not filter", () => {
    const { replies } = recorded("ip -n pod -j address show")
    const kernel = new FakeKernel((request) => [
      ...replay(request, replies).filter((reply) => decodeMessages(reply).every(({ type }) => type === 20)),
      done(request),
    ])
    const found = listAddresses(kernel.conversation, 2).map(({ prefix }) => formatPrefix(prefix))
    expect(found).toContain("10.244.1.5/24")
    expect(found).toContain("fd00:10:244:1::5/64")
    expect(listAddresses(kernel.conversation, 7)).toEqual([])
  })

  test("asks the kernel for that link only", () => {
    const request = new FakeKernel((asked) => [done(asked)])
    listAddresses(request.conversation, 7)
    expect(requestTree(request.requests[0] ?? new Uint8Array(), shape)).toEqual({
      message: "type 22 flags 301",
      header: "0000000007000000",
    })
  })

  test("a peer's address is not taken for our own", () => {
    const pointToPoint = fromHex("0220000002000000" + "080001000a000002" + "080002000a000001")
    const kernel = new FakeKernel((request) => [part(request, 20, [pointToPoint]), done(request)])
    expect(listAddresses(kernel.conversation, 2).map(({ prefix }) => prefix.address)).toEqual([
      parseAddress("10.0.0.1"),
    ])
  })
})

test("a refusal names the link", () => {
  const { conversation } = new FakeKernel((request) => [refuse(request, 17)])
  expect(() => addAddress(conversation, { index: 2, link: "cni0", prefix: prefix("10.0.0.1/24") })).toThrow(
    "cannot add an address to cni0: EEXIST (file exists)",
  )
})
