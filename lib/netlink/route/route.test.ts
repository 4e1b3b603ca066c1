import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Address, addressFromBytes, formatAddress, parseAddress } from "../../ip/address.ts"
import { formatPrefix, type Prefix, parsePrefix } from "../../ip/prefix.ts"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { done, FakeKernel, part, refuse, replay, requestOf } from "../../testing/fake-kernel.ts"
import { fromHex, recorded } from "../../testing/recorded.ts"
import { decodeMessages, type Message } from "../message.ts"
import { addRoute, decodeRoute, type LinkRoute, listRoutes, type Route } from "./route.ts"

const shape: Shape = { header: 12, nested: { 8: { nested: {} } } }
const prefix = (text: string) => parsePrefix(text) as Prefix
const address = (text: string) => parseAddress(text) as Address
const request = (route: LinkRoute) => requestOf((kernel) => addRoute(kernel, 2, route))

const gateway = address("10.244.1.1")
const gateway6 = address("fd00:10:244:1::1")

describe("requests say what iproute2 says", () => {
  test.each<[string, LinkRoute]>([
    [
      "ip -n pod route prepend 10.244.0.0/16 via 10.244.1.1 dev eth0 metric 5 mtu 1400 advmss 1360",
      { dst: prefix("10.244.0.0/16"), gateway, priority: 5, mtu: 1400, advmss: 1360 },
    ],
    [
      "ip -n pod route prepend 10.9.0.0/16 dev eth0 scope link table 100",
      { dst: prefix("10.9.0.0/16"), scope: 253, table: 100 },
    ],
    [
      "ip -n pod route prepend 10.9.0.0/16 via 10.244.1.1 dev eth0 table 1000",
      { dst: prefix("10.9.0.0/16"), gateway, table: 1000 },
    ],
    ["ip -n pod -6 route prepend default via fd00:10:244:1::1 dev eth0", { dst: prefix("::/0"), gateway: gateway6 }],
    [
      "ip -n pod -6 route prepend fd01::/48 via fd00:10:244:1::1 dev eth0",
      { dst: prefix("fd01::/48"), gateway: gateway6 },
    ],
  ])("%s", (command, route) => {
    expect(requestTree(request(route), shape)).toEqual(requestTree(recorded(command).request, shape))
  })
})

test("an IPv4 default route names its destination, which iproute2 does for IPv6 alone", () => {
  const { request: theirs } = recorded("ip -n pod route prepend default via 10.244.1.1 dev eth0")
  expect(requestTree(request({ dst: prefix("0.0.0.0/0"), gateway }), shape)).toEqual({
    ...requestTree(theirs, shape),
    1: "00000000",
  })
})

test("metrics of zero are none, and without any there is no list of them", () => {
  const tree = (route: Partial<LinkRoute>) => requestTree(request({ dst: prefix("10.0.0.0/8"), ...route }), shape)
  expect(tree({ mtu: 0, advmss: 0, priority: 0 })).toEqual(tree({}))
  expect(tree({ mtu: 1400 })["8"]).toEqual({ 2: "78050000" })
  expect(tree({ advmss: 1360 })["8"]).toEqual({ 8: "50050000" })
})

/** The output of `ip -j route`. `dev` is absent if there are several next hops. */
interface Printed {
  readonly type?: string
  readonly dst: string
  readonly gateway?: string
  readonly table?: string
  readonly metric?: number
  readonly nexthops?: readonly { readonly gateway?: string }[]
}

const tables: Readonly<Record<string, number>> = { local: 255, main: 254 }

function asPrinted({ dst, gateway, table = "main", metric = 0, nexthops }: Printed): string {
  const family = `${dst}${gateway}`.includes(":") ? 6 : 4
  const whole = dst === "default" ? (family === 4 ? "0.0.0.0/0" : "::/0") : dst
  const destination = whole.includes("/") ? whole : `${whole}/${family === 4 ? 32 : 128}`
  const gateways = nexthops ? nexthops.map((hop) => hop.gateway) : [gateway]
  return `${destination} via ${gateways.join(" and ")} table ${tables[table] ?? Number(table)} metric ${metric}`
}

function asText({ dst, table, priority, hops }: Route): string {
  const gateways = hops.map(({ gateway }) => gateway && formatAddress(gateway))
  return `${formatPrefix(dst)} via ${gateways.join(" and ")} table ${table} metric ${priority}`
}

describe("replies mean what ip printed", () => {
  test.each(["ip -n pod -j route show table all", "ip -n pod -j -6 route show table all"])("%s", (command) => {
    const { replies, output } = recorded(command)
    const messages = replies.flatMap(decodeMessages).filter(({ type }) => type === 24)
    const ours = messages.map(decodeRoute)
    expect(ours.map(asText).sort()).toEqual((output as Printed[]).map(asPrinted).sort())
    expect(ours.some(({ hops }) => hops.length === 2)).toBe(true)
    expect(new Set(ours.flatMap(({ hops }) => hops.map(({ index }) => index)))).toContain(2)
  })
})

test("what is added is read back the same, whatever the route", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  const route = fc.constantFrom(4, 16).chain((size) =>
    fc.record({
      dst: fc.tuple(bytes(size), fc.nat(size * 8)).map(([raw, length]) => ({ address: read(raw), length })),
      gateway: fc.option(bytes(size).map(read), { nil: undefined }),
      priority: fc.nat(0xffffffff),
      mtu: fc.nat(65535),
      table: fc.integer({ min: 1, max: 0xffffffff }),
    }),
  )
  fc.assert(
    fc.property(route, (wanted) => {
      const dst =
        wanted.dst.length === 0 ? { ...wanted.dst, address: { ...wanted.dst.address, value: 0n } } : wanted.dst
      const [decoded] = decodeMessages(request({ ...wanted, dst })).map(decodeRoute)
      const { priority, table, gateway } = wanted
      expect(decoded).toEqual({ dst, priority, table, hops: [{ index: 2, gateway }] })
    }),
  )
})

function read(raw: Uint8Array): Address {
  const found = addressFromBytes(raw)
  if (!found) throw new Error("4 or 16 bytes are an address")
  return found
}

const message = (hex: string): Message => ({ type: 24, flags: 0, sequence: 1, payload: fromHex(hex) })
const header = "02100000fe03000100000000"

describe("what makes no sense is a WireError", () => {
  test.each([
    ["a message shorter than its header", header.slice(0, 22), "cut short"],
    ["an IPv4 destination of 33 bits", header.replace("0210", "0221"), "prefix length 33"],
    ["an IPv4 destination in an IPv6 message", `${header.replace("0210", "0a10")}080001000a000000`, "family 10"],
    ["a next hop shorter than its header", `${header}0c0009000700000002000000`, "next hop of length 7"],
    ["a next hop of no length, which would never end", `${header}0c0009000000000002000000`, "next hop of length 0"],
    ["a next hop beyond the list", `${header}0c0009000900000002000000`, "next hop of length 9"],
  ])("%s", (_, hex, words) => {
    expect(() => decodeRoute(message(hex))).toThrow(words)
  })
})

describe("where a route leads", () => {
  const header = "02000000fe03000100000000"
  const hops = (hex: string) => decodeRoute(message(hex)).hops

  test.each(["06", "07", "08", "09"])(
    "is nowhere if it is of a type that refuses (%s), though it names a link",
    (type) => {
      expect(hops(`${header.slice(0, 14)}${type}${header.slice(16)}0800040001000000`)).toEqual([])
    },
  )

  test("says which of several next hops are down: dead, or without carrier", () => {
    const [dead, linkdown, up] = ["01", "10", "04"].map((flags, index) => `0800${flags}000${index + 2}000000`)
    expect(hops(`${header}1c000900${dead}${linkdown}${up}`)).toEqual([
      { index: 2, gateway: undefined, down: true },
      { index: 3, gateway: undefined, down: true },
      { index: 4, gateway: undefined },
    ])
  })
})

describe("listing", () => {
  const { replies } = recorded("ip -n pod -j route show table all")
  const routes = replies.filter((reply) => decodeMessages(reply).every(({ type }) => type === 24))

  test("gives the routes of one table and link, even where the kernel filters neither", () => {
    const kernel = new FakeKernel((asked) => [...replay(asked, routes), done(asked)])
    const list = (table: number, index?: number) => listRoutes(kernel.conversation, 4, table, index).map(asText)
    expect(list(100)).toEqual(["10.9.0.0/16 via  table 100 metric 0"])
    expect(list(1000, 2)).toEqual(["10.9.0.0/16 via 10.244.1.1 table 1000 metric 0"])
    expect(list(1000, 3)).toEqual([])
    expect(list(254, 2)).toContain("10.8.0.0/16 via 10.244.1.1 and 10.244.1.2 table 254 metric 0")
  })

  test("asks the kernel for that table and link only", () => {
    const kernel = new FakeKernel((asked) => [done(asked)])
    listRoutes(kernel.conversation, 6, 1000, 7)
    expect(requestTree(kernel.requests[0] ?? new Uint8Array(), shape)).toEqual({
      message: "type 26 flags 301",
      header: "0a0000000000000000000000",
      4: "07000000",
      15: "e8030000",
    })
  })

  test("a table that the kernel does not know has no routes", () => {
    const { replies: refusal } = recorded("ip route show table 4000")
    const { conversation } = new FakeKernel((asked) => replay(asked, refusal))
    expect(listRoutes(conversation, 4, 4000)).toEqual([])
  })

  test("any other refusal is thrown", () => {
    const { conversation } = new FakeKernel((asked) => [refuse(asked, 19)])
    expect(() => listRoutes(conversation, 6, 254)).toThrow("cannot list IPv6 routes: ENODEV")
  })

  test("routes without a table attribute are those of the header's table", () => {
    const { conversation } = new FakeKernel((asked) => [
      part(asked, 24, [fromHex(header.replace("0210", "0200"))]),
      done(asked),
    ])
    expect(listRoutes(conversation, 4, 254).map(asText)).toEqual(["0.0.0.0/0 via  table 254 metric 0"])
  })
})

test("a refusal names the destination and gives the kernel's words", () => {
  const { conversation } = new FakeKernel((asked) => [refuse(asked, 101, "Nexthop has invalid gateway")])
  expect(() => addRoute(conversation, 2, { dst: prefix("10.7.0.0/16"), gateway })).toThrow(
    'cannot add route 10.7.0.0/16: ENETUNREACH (network is unreachable), kernel says "Nexthop has invalid gateway"',
  )
})
