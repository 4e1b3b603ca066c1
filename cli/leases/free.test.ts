import { expect, test } from "vitest"
import { parseAddress } from "../../lib/ip/address.ts"
import { freeSpans } from "./free.ts"

const address = (text: string) => parseAddress(text) ?? { family: 4 as const, value: 0n }
const range = { first: address("10.0.0.1"), last: address("10.0.0.6") }

test.each([
  [[], ["10.0.0.1-10.0.0.6"]],
  [["10.0.0.1"], ["10.0.0.2-10.0.0.6"]],
  [["10.0.0.6", "10.0.0.1"], ["10.0.0.2-10.0.0.5"]],
  [
    ["10.0.0.2", "10.0.0.4"],
    ["10.0.0.1", "10.0.0.3", "10.0.0.5-10.0.0.6"],
  ],
  [
    ["10.0.0.3", "10.0.0.3", "10.0.1.3"],
    ["10.0.0.1-10.0.0.2", "10.0.0.4-10.0.0.6"],
  ],
  [["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"], []],
])("with %j taken, %j are free", (taken, free) => {
  expect(freeSpans(range, taken.map(address))).toEqual(free)
})

test("the upper end of all addresses is no trouble", () => {
  const last = { first: address("255.255.255.254"), last: address("255.255.255.255") }
  expect(freeSpans(last, [])).toEqual(["255.255.255.254-255.255.255.255"])
})
