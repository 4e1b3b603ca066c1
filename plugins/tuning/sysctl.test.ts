import { describe, expect, test } from "vitest"
import { findTwice, isSysctlKey, sysctlPath } from "./sysctl.ts"

test.each(["net.ipv4.ip_forward", "net/ipv4/ip_forward", "net.ipv4.conf.IFNAME.arp_filter", "net/core/somaxconn"])(
  "%s is a setting of the network",
  (key) => {
    expect(isSysctlKey(key)).toBe(true)
  },
)

test.each([
  "net/../kernel/hostname",
  "net/./core/somaxconn",
  "net/..",
  "net/ipv4/../../kernel/hostname",
  "net..kernel.hostname",
  "net//ipv4/ip_forward",
  "net/ipv4/",
  "/net/ipv4/ip_forward",
  ".net.ipv4.ip_forward",
  "net",
  "net.",
  "",
  "kernel.hostname",
  "netx.ipv4.ip_forward",
  "../proc/sys/net/ipv4/ip_forward",
  "net.ipv4/ip_forward",
  "net/ipv4/conf/eth0.100/arp_filter",
  "net.ipv4.conf.eth0/100.arp_filter",
  "net.ipv4.ip_forward\0",
  "IFNAME.ipv4.ip_forward",
])("%j is none", (key) => {
  expect(isSysctlKey(key)).toBe(false)
})

test("dots become slashes, and the first IFNAME the interface, whatever its name holds", () => {
  expect(sysctlPath("net.ipv4.conf.IFNAME.arp_filter", "eth0.100")).toBe("net/ipv4/conf/eth0.100/arp_filter")
  expect(sysctlPath("net/ipv4/conf/IFNAME/IFNAME", "$&")).toBe("net/ipv4/conf/$&/IFNAME")
})

describe("a key that is there twice", () => {
  test.each([
    ['{"sysctl":{"net.a":"1","net.b":"1","net.a":"2"}}', "net.a"],
    ['{"SysCtl" : { "net.a" : "1" , "net.\\u0061" : "2" }}', "net.a"],
    ['{"sysctl":{"net.a":"1"},"type":"tuning","sysctl":{"net.a":"2"}}', "net.a"],
    ['{"prevResult":{"dns":{}},"x":[{"a":1},{"a":1}],"sysctl":{"a":"}","a":"{"}}', "a"],
  ])("is found in %s", (text, key) => {
    expect(findTwice(text)).toBe(key)
  })

  test.each([
    '{"sysctl":{"net.a":"net.a","net.b":"net.a"}}',
    '{"sysctl":{"net.a":"1"},"args":{"cni":{"sysctl":{"net.a":"1"}}}}',
    '{"x":{"sysctl":{"a":"1","a":"2"}},"a":1,"a":2}',
    '{"sysctl":{"net.a":"\\":{"},"net.a":"2"}',
  ])("is not found in %s", (text) => {
    expect(findTwice(text)).toBeUndefined()
  })
})
