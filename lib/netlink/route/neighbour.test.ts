import { expect, test } from "vitest"
import { type Address, parseAddress } from "../../ip/address.ts"
import { type Mac, parseMac } from "../../ip/mac.ts"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { FakeKernel, refuse, requestOf } from "../../testing/fake-kernel.ts"
import { recorded } from "../../testing/recorded.ts"
import { forgetNeighbour, introduceNeighbour } from "./neighbour.ts"

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
  const { conversation } = new FakeKernel((request) => [refuse(request, 19)])
  expect(() => forgetNeighbour(conversation, 2, neighbour)).toThrow("cannot forget the neighbour 10.244.1.5: ENODEV")
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
