import { expect, test } from "vitest"
import { troublesIn } from "./log.ts"

const log = (...texts: string[]) => texts.map((text, at) => ({ text, ago: 500 - at }))
const kinds = (...texts: string[]) => troublesIn(log(...texts)).map(({ kind }) => kind)

test.each([
  ["unregister_netdevice: waiting for lo to become free. Usage count = 2", ["namespace-stuck"]],
  ["unregister_netdevice: waiting for veth0a1b to become free. Usage count = 188", ["namespace-stuck"]],
  ["nf_conntrack: nf_conntrack: table full, dropping packet", ["conntrack-drops"]],
  ["nf_conntrack: table full, dropping packet.", ["conntrack-drops"]],
  ["neighbour: arp_cache: neighbor table overflow!", ["neighbours-full"]],
  ["neighbour: ndisc_cache: neighbor table overflow!", ["neighbours-full"]],
  ["cni0: port 1(veth0a1b) entered disabled state", []],
  ["audit: nf_conntrack: table full, dropping packet", []],
])("%s: %j", (text, expected) => {
  expect(kinds(text)).toEqual(expected)
})

const HUNG = "INFO: task kworker/u8:2:1234 blocked for more than 120 seconds."

test("a task that hangs counts if its stack is about networks", () => {
  expect(kinds(HUNG, "Workqueue: netns cleanup_net", "Call Trace:", " rtnl_lock+0x15/0x20")).toEqual(["network-hangs"])
  expect(kinds(HUNG, "Call Trace:", " io_schedule+0x46/0x80")).toEqual([])
  const disk = "INFO: task jbd2/sda1-8:200 blocked for more than 120 seconds."
  expect(kinds(disk, " io_schedule+0x46/0x80", HUNG, " rtnl_lock+0x15/0x20")).toEqual(["network-hangs"])
  expect(troublesIn(log(disk, HUNG, " rtnl_lock+0x15/0x20"))[0]?.evidence[0]).toContain("kworker")
})

test("what is said many times is one finding, with the last of them", () => {
  const [first, second] = [1, 2].map(
    (count) => `unregister_netdevice: waiting for lo to become free. Usage count = ${count}`,
  )
  expect(troublesIn(log(`${first}`, "other", `${second}`)).map(({ evidence }) => evidence)).toEqual([
    [`dmesg: ${second}`, "2 times in the last ten minutes, last 498 s ago"],
  ])
})
