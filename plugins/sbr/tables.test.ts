import { describe, expect, test } from "vitest"
import type { IpConfig, Result } from "../../lib/cni/result.ts"
import { emptyResult } from "../../lib/cni/result.ts"
import { type Address, formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { formatPrefix, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"
import type { Route } from "../../lib/netlink/route/route.ts"
import type { PolicyRule } from "../../lib/netlink/route/rule.ts"
import { directFirst, findRule, gatewayOf, isFor, ownRoutes, shareTables } from "./tables.ts"

const INDEX = 3
const prefix = (text: string) => parsePrefix(text) as Prefix
const address = (text: string) => parseAddress(text) as Address

function ip(text: string, gateway?: string): IpConfig {
  return { address: prefix(text), gateway: gateway === undefined ? undefined : address(gateway) }
}

function rule(source: string, table: number, plain = true): PolicyRule {
  return { source: prefix(source), table, priority: 32765, plain }
}

interface Said {
  readonly via?: string
  readonly from?: string
  readonly index?: number
  readonly table?: number
}

function route(dst: string, { via, from, index = INDEX, table = 254 }: Said = {}): Route {
  const gateway = via === undefined ? undefined : address(via)
  const source = from === undefined ? undefined : address(from)
  return { dst: prefix(dst), table, priority: 0, source, hops: [{ index, gateway }] }
}

describe("tables", () => {
  const tablesOf = (ips: IpConfig[], rules: PolicyRule[], routes: Route[] = []) =>
    shareTables(ips, rules, routes, INDEX).map(({ table, ruled }) => (ruled ? `${table} ruled` : `${table}`))
  const two = [ip("10.1.2.3/24"), ip("fd00::3/64")]

  test("begin at 100, one for each address", () => {
    expect(tablesOf(two, [])).toEqual(["100", "101"])
  })

  test("to which rules lead are taken, and so are those with routes of other interfaces, not with its own", () => {
    const routes = [route("10.0.0.0/8", { table: 101, index: 9 }), route("10.0.0.0/8", { table: 102 })]
    expect(tablesOf(two, [rule("10.9.9.9/32", 100), rule("10.8.0.0/16", 103)], routes)).toEqual(["102", "104"])
  })

  test("stay those of an ADD before", () => {
    expect(tablesOf(two, [rule("fd00::3/128", 100)])).toEqual(["101", "100 ruled"])
  })

  test("are never the kernel's own, even with no rule left that leads there", () => {
    const taken = Array.from({ length: 153 }, (_, at) => rule("10.9.9.9/32", 100 + at))
    expect(tablesOf(two, taken)).toEqual(["256", "257"])
  })
})

describe("a rule of sbr's kind", () => {
  test.each([
    ["is for that address alone", rule("10.1.2.3/32", 5000), true],
    ["is not for its network", rule("10.1.2.3/24", 100), false],
    ["says nothing else", rule("10.1.2.3/32", 100, false), false],
    ["does not lead to the main table", rule("10.1.2.3/32", 254), false],
    ["is not for another address", rule("10.1.2.4/32", 100), false],
  ])("%s", (_, one, is) => {
    expect(findRule([one], ip("10.1.2.3/24")) !== undefined).toBe(is)
  })
})

test("the interface's routes are those that leave by it alone, those without gateway first", () => {
  const refusing: Route = { ...route("10.4.0.0/16"), hops: [] }
  const split: Route = { ...route("10.5.0.0/16"), hops: [{ index: INDEX }, { index: 9 }] }
  const routes = [
    route("0.0.0.0/0", { via: "10.1.2.1" }),
    route("10.1.2.0/24", { from: "10.1.2.3" }),
    route("10.2.0.0/16", { index: 9 }),
    route("10.3.0.0/16", { table: 100 }),
    refusing,
    split,
  ]
  const own = directFirst(ownRoutes(routes, INDEX, 254)).map(({ dst }) => formatPrefix(dst))
  expect(own).toEqual(["10.1.2.0/24", "0.0.0.0/0"])
})

describe("a route", () => {
  const ips = [ip("10.1.2.3/24"), ip("10.1.2.4/24"), ip("10.7.0.3/24"), ip("fd00::3/64"), ip("fd07::3/64")]

  test.each<[string, Route, readonly number[]]>([
    ["of a network is for the addresses in it", route("10.1.2.0/24", { from: "10.1.2.3" }), [0, 1]],
    ["by a gateway is for the addresses in its network", route("10.9.0.0/16", { via: "10.7.0.1" }), [2]],
    ["by a gateway of no network is for all of its family", route("10.9.0.0/16", { via: "169.254.1.1" }), [0, 1, 2]],
    ["by a link-local gateway is for all of its family", route("fd09::/64", { via: "fe80::1" }), [3, 4]],
    ["to a network without source is for the address in it", route("fd00::/64"), [3]],
    ["to somewhere else without gateway is for all of its family", route("fd09::/64"), [3, 4]],
  ])("%s", (_, one, wanted) => {
    expect(ips.flatMap((own, at) => (isFor(one, own, ips) ? [at] : []))).toEqual(wanted)
  })
})

describe("the gateway of an address is", () => {
  const gateway = (own: IpConfig, routes: Result["routes"] = []) => {
    const found = gatewayOf(own, { ...emptyResult, routes })
    return found && formatAddress(found)
  }
  const all = { dst: prefix("0.0.0.0/0"), gw: address("10.1.2.9") }

  test("its own", () => {
    expect(gateway(ip("10.1.2.3/24", "10.1.2.1"), [all])).toBe("10.1.2.1")
  })

  test("that of the result's default route in its network", () => {
    expect(gateway(ip("10.1.2.3/24"), [all])).toBe("10.1.2.9")
    expect(gateway(ip("10.1.2.3/24"), [{ ...all, table: 254 }])).toBe("10.1.2.9")
  })

  test("none, if that route is of another network or table, has no gateway or is no default route", () => {
    expect(gateway(ip("10.7.0.3/24"), [all])).toBeUndefined()
    expect(gateway(ip("fd00::3/64"), [all])).toBeUndefined()
    const others = [{ ...all, table: 500 }, { dst: all.dst }, { ...all, dst: prefix("10.0.0.0/8") }]
    expect(gateway(ip("10.1.2.3/24"), others)).toBeUndefined()
  })
})
