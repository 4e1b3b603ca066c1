import { describe, expect, test } from "vitest"
import { formatPrefix } from "../../ip/prefix.ts"
import { requestTree, type Shape, type Tree } from "../../testing/attribute-tree.ts"
import { done, FakeKernel, part, refuse, replay, requestOf } from "../../testing/fake-kernel.ts"
import { fromHex, recorded } from "../../testing/recorded.ts"
import { decodeMessages } from "../message.ts"
import { copyRoute, listWholeRoutes, removeRoute, type WholeRoute } from "./whole-route.ts"

const shape: Shape = { header: 12, nested: { 8: { nested: {} } } }
const lists = ["ip -n pod -j route show table all", "ip -n pod -j -6 route show table all"]
const routes = lists.flatMap((command) => {
  const { replies } = recorded(command)
  return listWholeRoutes(new FakeKernel((asked) => replay(asked, replies)).conversation)
})

function find(dst: string, table: number): WholeRoute {
  const found = routes.find((route) => formatPrefix(route.dst) === dst && route.table === table)
  if (!found) throw new Error(`not recorded: ${dst}`)
  return found
}

const tree = (ask: Parameters<typeof requestOf>[0]): Tree => requestTree(requestOf(ask), shape)

describe("a copy says what iproute2 says of such a route", () => {
  test.each([
    ["ip -n pod route prepend 10.9.0.0/16 dev eth0 scope link table 100", "10.9.0.0/16", 100],
    ["ip -n pod route prepend 10.9.0.0/16 via 10.244.1.1 dev eth0 table 1000", "10.9.0.0/16", 1000],
    [
      "ip -n pod route prepend 10.244.0.0/16 via 10.244.1.1 dev eth0 metric 5 mtu 1400 advmss 1360",
      "10.244.0.0/16",
      254,
    ],
  ])("%s", (command, dst, table) => {
    const theirs = requestTree(recorded(command).request, shape)
    expect(tree((kernel) => copyRoute(kernel, find(dst, table), table))).toEqual({
      ...theirs,
      message: "type 24 flags c05",
    })
  })

  test("but for the table, which is the other one", () => {
    const route = find("10.9.0.0/16", 1000)
    const said = tree((kernel) => copyRoute(kernel, route, 1000))
    expect(said["header"]).toBe("021000000003000100000000")
    const { 15: table, ...others } = said
    expect(table).toBe("e8030000")
    const header = "021000006403000100000000"
    expect(tree((kernel) => copyRoute(kernel, route, 100))).toEqual({ ...others, header })
    expect(tree((kernel) => copyRoute(kernel, route, 4000))).toEqual({ ...said, 15: "a00f0000" })
  })
})

test("of the flags only onlink is copied, and nothing that the kernel observed", () => {
  const payload = fromHex(`02000000fe03000115000000${"08000f00fe000000"}${"08000c0000000000"}${"0800040002000000"}`)
  const { conversation } = new FakeKernel((asked) => [part(asked, 24, [payload]), done(asked)])
  const [route] = listWholeRoutes(conversation)
  expect(tree((kernel) => route && copyRoute(kernel, route, 100))).toEqual({
    message: "type 24 flags c05",
    header: "020000006403000104000000",
    4: "02000000",
  })
})

test("exceptions that the kernel learnt, its own table and other families are not listed", () => {
  const payloads = ["02000000fe03000100020000", "02000000ff03000100000000", "80000000fe03000100000000"].map(fromHex)
  const { conversation } = new FakeKernel((asked) => [part(asked, 24, payloads), done(asked)])
  expect(listWholeRoutes(conversation)).toEqual([])
  expect(routes.some(({ table }) => table === 255)).toBe(false)
})

test("every recorded route is removed by its own words", () => {
  const families = new Set(routes.map(({ dst }) => dst.address.family))
  expect([...families].sort()).toEqual([4, 6])
  for (const route of routes) {
    const [message] = decodeMessages(requestOf((kernel) => removeRoute(kernel, route, route.table)))
    expect(message?.type).toBe(25)
    expect(message?.payload.subarray(0, 4)).toEqual(route.payload.subarray(0, 4))
  }
})

test("removing is done if the route is gone; any other refusal names route and table", () => {
  const route = find("10.9.0.0/16", 1000)
  const remove = (errno: number) =>
    removeRoute(new FakeKernel((asked) => [refuse(asked, errno)]).conversation, route, 254)
  expect(() => remove(3)).not.toThrow()
  expect(() => remove(1)).toThrow("cannot remove route 10.9.0.0/16 from table main: EPERM")
})
