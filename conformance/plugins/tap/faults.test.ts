import { describe, expect, test } from "vitest"
import { environment, outcome, stdin } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { DUAL, hostLocal } from "../bridge/network.ts"
import {
  type Cause,
  expectDifferencesNamed,
  expectForgivingDel,
  expectLeasesCollected,
  expectNothingLeft,
  expectSecondAddRefused,
  expectUnfinishedSpared,
  FAR_GATEWAY,
  linksIn,
  NO_ADDRESS,
  NO_ADDRESS_LEFT,
  OTHER_MAC,
  testRefused,
} from "../pod-link.ts"
import { TAP, tap } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const BOTH: readonly Implementation[] = ["ours", "reference"]

test("a second ADD is refused and does the first no harm; DEL of another network spares it", () =>
  expectSecondAddRefused(TAP))

test("DEL spares a tap that an ADD of another attachment has not finished", () => expectUnfinishedSpared(TAP))

test("DEL needs neither namespace, nor a config that makes sense, nor an ADD before it", () => expectForgivingDel(TAP))

test("GC frees the leases of attachments that are no longer valid", () => expectLeasesCollected(TAP))

test.each<[string, Cause]>([
  ["IPAM has no address left", NO_ADDRESS_LEFT],
  ["IPAM gives no address", NO_ADDRESS],
  ["a route's gateway cannot be reached", FAR_GATEWAY],
  ["the bridge is missing", [() => ({ bridge: "br0" }), "br0"]],
])("a failed ADD leaves neither tap nor lease (the reference's leaves the tap) if %s", (_, cause) =>
  expectNothingLeft(TAP, cause),
)

test("mac and mtu count also with owner and group (the reference forgets them)", () => {
  using node = new Node()
  const look = (implementation: Implementation) => {
    const pod = node.pod()
    tap(node, { owner: 1, group: 1, mac: "02:00:00:00:00:11", mtu: 1400 }, implementation).connect(pod)
    const { address, mtu } = pod.link("eth0") ?? {}
    return [address === "02:00:00:00:00:11", mtu]
  }
  expect(BOTH.map(look)).toEqual([
    [true, 1400],
    [false, 1500],
  ])
})

test("a second ADD is refused and leaves nothing (the reference's succeeds, and leaves a tap under another name)", () => {
  using node = new Node()
  const again = (implementation: Implementation) => {
    const pod = node.pod()
    const network = tap(node, {}, implementation)
    network.connect(pod)
    return [network.add(pod).error?.code, linksIn(pod).length]
  }
  expect(BOTH.map(again)).toEqual([
    [102, 2],
    [undefined, 3],
  ])
})

test("an interface of another kind is neither taken over by ADD nor removed by DEL (the reference does both)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "other")
    const network = tap(node, {}, implementation)
    const { exitCode } = network.add(pod)
    expect(network.del(pod)).toMatchObject(QUIET)
    return [exitCode, linksIn(pod).includes("eth0")]
  }
  expect(BOTH.map(attempt)).toEqual([
    [1, true],
    [0, false],
  ])
})

test("no `ip` has to be on the node (the reference starts it)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const call = { command: "ADD", netns: node.pod(), config: tap(node).config }
    const argv = node.inside([
      "env",
      "-i",
      ...Object.entries({ ...environment(call), PATH: "/none" }).map(([key, value]) => `${key}=${value}`),
      `${binDirectory(implementation)}/tap`,
    ])
    return outcome(run(argv, { stdin: stdin(call) })).exitCode
  }
  expect(BOTH.map(attempt)).toEqual([0, 1])
})

test("IPv6 addresses are usable at once (the reference waits five seconds for a carrier and leaves them tentative)", () => {
  using node = new Node()
  const look = (implementation: Implementation) => {
    const pod = node.pod()
    tap(node, { ipam: hostLocal(node, DUAL) }, implementation).connect(pod)
    const addresses = pod.ip("-6", "addr", "show", "dev", "eth0").flatMap(({ addr_info }) => addr_info ?? [])
    return addresses.map(({ local, tentative = false }) => [local, tentative])
  }
  expect(BOTH.map(look)).toEqual([[["fd00:10:244:1::2", false]], [["fd00:10:244:1::3", true]]])
})

test("CHECK names the first difference", () => expectDifferencesNamed(TAP, [OTHER_MAC]))

test("CHECK fails if the interface is a tun", () => {
  using node = new Node()
  const network = tap(node)
  const pod = node.pod()
  pod.ip("tuntap", "add", "mode", "tun", "name", "eth0")
  const result = { cniVersion: "1.1.0", interfaces: [{ name: "eth0", mac: "", sandbox: pod.path }] }
  expect(network.check(pod, result).error?.msg).toBe("interface eth0 is not a tap but a tun")
})

test.each(["ours", "reference"] as const)(
  "without CNI_IFNAME ADD is refused, and makes no tap: %s",
  (implementation) => {
    using node = new Node()
    const pod = node.pod()
    const { error } = tap(node, {}, implementation).add(pod, { env: { CNI_IFNAME: undefined } })
    expect(error).toMatchObject({ code: 4, msg: "required env variables [CNI_IFNAME] missing" })
    expect(linksIn(pod)).toEqual(["lo"])
  },
)

describe("ADD is refused", () =>
  testRefused(TAP, [
    ["for an SELinux context", { selinuxContext: "a:b:c:s0" }, 2, "unsupported field: selinuxContext: a:b:c:s0"],
    ["for an mtu below 0", { mtu: -1 }, 7, "mtu: -1 is not between"],
    ["for an mtu that no tap can have", { mtu: 65_535 }, 100, "mtu"],
    ["for a MAC address that is none", { mac: "x" }, 7, 'mac: "x" is not a MAC address'],
    ["for a MAC address of a group", { mac: "01:00:00:00:00:01" }, 7, "mac: "],
    ["for an owner that is no number", { owner: "root" }, 6, "owner: expected"],
    ["for a negative group", { group: -1 }, 7, "group: -1 is not between"],
    ["for the owner who is nobody", { owner: 4_294_967_295 }, 7, "owner: 4294967295 is not between"],
    ["for a bridge that is none", { bridge: "lo" }, 7, 'bridge: "lo" is no bridge'],
    ["for an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
  ]))
