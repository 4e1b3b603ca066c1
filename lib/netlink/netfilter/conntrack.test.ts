import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Address, formatAddress, parseAddress } from "../../ip/address.ts"
import { acknowledge, FakeKernel, requestOf } from "../../testing/fake-kernel.ts"
import { fromHex, toHex } from "../../testing/recorded.ts"
import { WireError } from "../attribute.ts"
import { decodeMessages, encodeMessage, type Message, NLMSG_DONE } from "../message.ts"
import { decodeFlow, type Flow, findFlows, removeFlow } from "./conntrack.ts"

/** The kernel's message, and the request of conntrack 1.4.7, about a UDP flow from 10.0.0.9:4000 to 192.0.2.7:53 that 10.201.9.3:5353 answers. */
const ORIGINAL =
  "34000180 14000180 08000100 0a000009 08000200 c0000207 1c000280 05000100 11000000 06000200 0fa00000 06000300 00350000"
const REPLY =
  "34000280 14000180 08000100 0ac90903 08000200 0a000009 1c000280 05000100 11000000 06000200 14e90000 06000300 0fa00000"
const RECORDED = `02000000 ${ORIGINAL} ${REPLY} 08000300 00000008 08000800 00000000 08000c00 00091b86 08000b00 00000001 08000700 0000003b`

const bytes = (hex: string) => fromHex(hex.replaceAll(" ", ""))
const message = (payload: Uint8Array): Message => ({ type: 0x100, flags: 0, sequence: 1, payload })

function ip(text: string): Address {
  const address = parseAddress(text)
  if (!address) throw new Error(text)
  return address
}

const UDP = 17
const flow: Flow = {
  original: {
    source: ip("10.0.0.9"),
    destination: ip("192.0.2.7"),
    protocol: UDP,
    sourcePort: 4000,
    destinationPort: 53,
  },
  reply: {
    source: ip("10.201.9.3"),
    destination: ip("10.0.0.9"),
    protocol: UDP,
    sourcePort: 5353,
    destinationPort: 4000,
  },
  id: 0x91b86,
  zone: undefined,
}

test("a flow is read as the kernel wrote it", () => {
  expect(decodeFlow(message(bytes(RECORDED)))).toEqual(flow)
})

test("a flow to be forgotten is named by the tuple that conntrack names it by, and by its id", () => {
  const [request] = decodeMessages(requestOf((kernel) => removeFlow(kernel, flow)))
  expect(request?.type).toBe(0x102)
  expect(toHex(request?.payload ?? new Uint8Array())).toBe(toHex(bytes(`02000000 ${ORIGINAL} 08000c00 00091b86`)))
})

test("a flow that the kernel has forgotten already is no failure", () => {
  using kernel = new FakeKernel((request) => [refuse(request, 2)])
  expect(removeFlow(kernel.conversation, flow)).toBe(false)
})

function refuse(request: Message, errno: number): Uint8Array {
  const datagram = acknowledge(request).slice()
  new DataView(datagram.buffer, datagram.byteOffset).setInt32(16, -errno, true)
  return datagram
}

describe("finding", () => {
  function find(ports: readonly number[], most = 10) {
    using kernel = new FakeKernel(({ sequence }) => [
      encodeMessage({ type: 0x100, flags: 2, sequence }, (writer) => void writer.raw(bytes(RECORDED))).slice(),
      encodeMessage({ type: 0x100, flags: 2, sequence }, (writer) => void writer.raw(bytes(RECORDED))).slice(),
      encodeMessage({ type: NLMSG_DONE, flags: 2, sequence }, (writer) => void writer.u32(0)).slice(),
    ])
    const wanted = { family: 4, protocol: UDP, destinationPorts: new Set(ports) } as const
    const found = findFlows(kernel.conversation, wanted, ({ id }) => id === flow.id, most)
    return { ...found, request: toHex(kernel.requests.flatMap(decodeMessages)[0]?.payload ?? new Uint8Array()) }
  }

  test("asks the kernel for the protocol and the port alone", () => {
    const { flows, picked, request } = find([53])
    expect([flows, picked]).toEqual([[flow, flow], true])
    const tuple = "18000180 14000280 05000100 11000000 06000300 00350000"
    expect(request).toBe(toHex(bytes(`02000000 ${tuple} 14001980 08000100 28000000 08000200 00000000`)))
  })

  test("asks for the protocol where there are several ports", () => {
    const { flows, request } = find([53, 54])
    expect(flows).toEqual([flow, flow])
    const tuple = "10000180 0c000280 05000100 11000000"
    expect(request).toBe(toHex(bytes(`02000000 ${tuple} 14001980 08000100 08000000 08000200 00000000`)))
  })

  test("leaves out what a kernel that does not pick sends too, and says so", () => {
    expect(find([54])).toMatchObject({ flows: [], picked: false })
  })

  test("keeps no more than wanted", () => {
    expect(find([53], 1).flows).toEqual([flow])
  })
})

describe("whatever the kernel sends", () => {
  test("is read, or is a WireError", () => {
    const damaged = fc
      .tuple(fc.nat({ max: bytes(RECORDED).length - 1 }), fc.integer({ min: 0, max: 255 }))
      .map(([at, value]) => bytes(RECORDED).map((byte, index) => (index === at ? value : byte)))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (payload) => {
        try {
          const found = decodeFlow(message(payload))
          if (found) formatAddress(found.original.source)
        } catch (error) {
          if (!(error instanceof WireError)) throw error
        }
      }),
      { numRuns: 2000 },
    )
  })

  test("a tuple comes back as it was sent", () => {
    const port = fc.integer({ min: 0, max: 65535 })
    const v4 = fc.bigInt({ min: 0n, max: 0xffffffffn }).map((value): Address => ({ family: 4, value }))
    const v6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value): Address => ({ family: 6, value }))
    const tuple = fc.oneof(fc.tuple(v4, v4), fc.tuple(v6, v6)).chain(([source, destination]) =>
      fc.record({
        source: fc.constant(source),
        destination: fc.constant(destination),
        protocol: fc.integer({ min: 0, max: 255 }),
        sourcePort: port,
        destinationPort: port,
      }),
    )
    fc.assert(
      fc.property(tuple, (original) => {
        const sent = decodeMessages(requestOf((kernel) => removeFlow(kernel, { ...flow, original })))[0]?.payload
        const body = sent?.subarray(4) ?? new Uint8Array()
        const back = bytes(REPLY)
        const payload = new Uint8Array([...(sent?.subarray(0, 4) ?? []), ...body, ...back])
        expect(decodeFlow(message(payload))?.original).toEqual(original)
      }),
    )
  })
})
