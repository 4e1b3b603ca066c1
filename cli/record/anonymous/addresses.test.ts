import { expect, test } from "vitest"
import { Addresses } from "./addresses.ts"

/** Returns the texts after all of them were learned. */
function replaced(...texts: readonly string[]): string[] {
  const addresses = new Addresses()
  for (const text of texts) addresses.learn(text)
  return texts.map((text) => addresses.replace(text))
}

test("networks hold what they held, ranges keep their order", () => {
  expect(replaced("10.244.1.0/24", "10.244.1.7/24 via 10.244.1.1", "10.244.1.20-10.244.3.2", "192.168.7.9:80")).toEqual(
    ["10.1.1.0/24", "10.1.1.7/24 via 10.1.1.1", "10.1.1.20-10.1.3.2", "10.2.7.9:80"],
  )
  expect(replaced("10.96.0.0/12", "172.16.0.0/12", "10.0.0.0/8")).toEqual(["10.0.0.0/12", "10.0.0.0/12", "10.0.0.0/8"])
})

test("no address comes to stand for another of the recording", () => {
  expect(replaced("10.5.0.1", "10.1.0.1", "10.2.0.1")).toEqual(["10.3.0.1", "10.4.0.1", "10.6.0.1"])
  expect(replaced("8e:00:00:00:00:01", "02:00:00:00:00:01")).toEqual(["02:00:00:00:00:02", "02:00:00:00:00:03"])
})

test("what says nothing of the node stays", () => {
  const plain = ["0.0.0.0/0", "127.0.0.1", "::/0", "::1", "224.0.0.1", "169.254.1.1", "255.255.255.0", "ff02::1"]
  expect(replaced(...plain, "fe80::1", "00:00:00:00:00:00", "1.2.3", "12:34:56", "a::b::c", "999.1.1.1")).toEqual([
    ...plain,
    "fe80::1",
    "00:00:00:00:00:00",
    "1.2.3",
    "12:34:56",
    "a::b::c",
    "999.1.1.1",
  ])
})

test("IPv6: networks by number, interfaces by the MAC address that they are made of", () => {
  expect(replaced("2001:db8:7:1::/64", "2001:db8:7:1::a/64", "2001:db8:7::/48")).toEqual([
    "fd00:0:0:1::/64",
    "fd00:0:0:1::a/64",
    "fd00::/48",
  ])
  expect(replaced("8e:12:34:56:78:9a", "fe80::8c12:34ff:fe56:789a", "2001:db8::1c2b:3a49:5867:7685")).toEqual([
    "02:00:00:00:00:01",
    "fe80::ff:fe00:1",
    "fd00::1:0:1:0:1",
  ])
})

test("the rest of the text is another's to replace", () => {
  const addresses = new Addresses()
  const shout = (text: string) => text.toUpperCase()
  expect(addresses.replace("a at fd00::a, b at 10.9.9.9", shout)).toBe("A AT fd00:0:0:1::a, B AT 10.1.9.9")
})
