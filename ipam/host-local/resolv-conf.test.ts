import { expect, test } from "vitest"
import { noDns } from "../../lib/cni/result.ts"
import { parseResolvConf } from "./resolv-conf.ts"

test("a simple file names its server", () => {
  expect(parseResolvConf("nameserver 192.0.2.0\nnameserver 192.0.2.1\n")).toEqual({
    ...noDns,
    nameservers: ["192.0.2.0", "192.0.2.1"],
  })
})

test("lines that are comments, empty or without a value say nothing", () => {
  const text =
    "# nameserver 192.0.2.9\n; domain nowhere\n\n   \nnameserver\noptions\n  # search none\nsortlist 10.0.0.0\n"
  expect(parseResolvConf(text)).toEqual(noDns)
})

test("all keywords are read, and repeated ones add up except domain", () => {
  const text = [
    "nameserver 192.0.2.0",
    "\tnameserver   2001:db8::53  # not cut off",
    "domain first.example",
    "domain example.com",
    "search a.example b.example",
    "search\tc.example",
    "options one two",
    "options three",
  ].join("\r\n")
  expect(parseResolvConf(text)).toEqual({
    nameservers: ["192.0.2.0", "2001:db8::53"],
    domain: "example.com",
    search: ["a.example", "b.example", "c.example"],
    options: ["one", "two", "three"],
  })
})
