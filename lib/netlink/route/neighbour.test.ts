import { expect, test } from "vitest"
import { type Address, formatAddress, parseAddress } from "../../ip/address.ts"
import { type Mac, parseMac } from "../../ip/mac.ts"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { done, FakeKernel, part, refuse, requestOf } from "../../testing/fake-kernel.ts"
import { fromHex, recorded } from "../../testing/recorded.ts"
import { forgetNeighbour, introduceNeighbour, listNeighbours } from "./neighbour.ts"

const shape: Shape = { header: 12, nested: {} }
const neighbour = parseAddress("10.244.1.5") as Address

test("the request says what iproute2 says, save for a state that the kernel does not read here", () => {
  const theirs = requestTree(recorded("ip neighbour del 10.244.1.5 dev cni0").request, shape)
  const ours = requestTree(
    requestOf((kernel) => forgetNeighbour(kernel, 2, neighbour)),
    shape,
  )
  expect(theirs["header"]).toBe("020000000200000080000000")
  expect(ours).toEqual({ ...theirs, header: "020000000200000000000000" })
})

test("IPv6 neighbours are named with their 16 bytes", () => {
  const ours = requestTree(
    requestOf((kernel) => forgetNeighbour(kernel, 2, parseAddress("fd00::5") as Address)),
    shape,
  )
  expect(ours).toMatchObject({ header: "0a0000000200000000000000", 1: `fd00${"00".repeat(13)}05` })
})

test("a neighbour that nobody knew is forgotten already", () => {
  const { conversation } = new FakeKernel((request) => [refuse(request, 2)])
  expect(() => forgetNeighbour(conversation, 2, neighbour)).not.toThrow()
})

test("any other refusal is thrown", () => {
  const { conversation } = new FakeKernel((request) => [refuse(request, 1)])
  expect(() => forgetNeighbour(conversation, 2, neighbour)).toThrow("cannot forget the neighbour 10.244.1.5: EPERM")
})

const mac = parseMac("02:00:00:00:00:01") as Mac

test("a neighbour is introduced as one to ask at once, of IPv6 as one to ask once it is used", () => {
  const introduced = (text: string) =>
    requestTree(
      requestOf((kernel) => introduceNeighbour(kernel, 2, parseAddress(text) as Address, mac)),
      shape,
    )
  expect(introduced("10.244.1.5")).toMatchObject({ header: "020000000200000010000000", 2: "020000000001" })
  expect(introduced("fd00::5")).toMatchObject({ header: "0a0000000200000004000000", 2: "020000000001" })
})

test.each([
  ["a neighbour that is known stays as it is", 17],
  ["there need not be room for one more", 105],
])("%s", (_, errno) => {
  const { conversation } = new FakeKernel((request) => [refuse(request, errno)])
  expect(() => introduceNeighbour(conversation, 2, neighbour, mac)).not.toThrow()
})

test("neighbours are those of which the kernel knows where they are", () => {
  const entry = (family: string, state: string, address: string) =>
    fromHex(`${family}00000002000000${state}0000${address}`)
  const entries = [
    entry("02", "0200", "080001000af40105"), // reachable
    entry("02", "2000", "080001000af40106"), // failed
    entry("0a", "0400", `14000100fd00${"00".repeat(13)}05`), // stale
    entry("0a", "0100", `14000100fd00${"00".repeat(13)}06`), // incomplete
  ]
  const kernel = new FakeKernel((asked) => [part(asked, 28, entries), done(asked)])
  expect(listNeighbours(kernel.conversation).map(formatAddress)).toEqual(["10.244.1.5", "fd00::5"])
  expect(requestTree(kernel.requests[0] ?? new Uint8Array(), shape)).toEqual({
    message: "type 30 flags 301",
    header: "00".repeat(12),
  })
})
