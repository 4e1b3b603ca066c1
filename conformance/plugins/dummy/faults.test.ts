import { describe, expect, test } from "vitest"
import { disturb } from "../../faults/injection.ts"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { hostLocal, leases, V4 } from "../bridge/network.ts"
import {
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
  type PodLink,
  testRefused,
} from "../pod-link.ts"
import { dummy } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const BOTH: readonly Implementation[] = ["ours", "reference"]

const DUMMY: PodLink = {
  kind: "dummy",
  network: dummy,
  ipam: (node, more) => hostLocal(node, [V4], more),
  nonsense: { mtu: "x" },
}

test("a second ADD is refused and does the first no harm; DEL of another network spares it", () =>
  expectSecondAddRefused(DUMMY))

test("DEL spares a dummy that an ADD of another attachment has not finished", () => expectUnfinishedSpared(DUMMY))

test("DEL needs neither namespace, nor a config that makes sense, nor an ADD before it", () =>
  expectForgivingDel(DUMMY))

test("GC frees the leases of attachments that are no longer valid", () => expectLeasesCollected(DUMMY))

describe("a failed ADD leaves neither dummy nor lease", () => {
  test("if IPAM has no address left", () => expectNothingLeft(DUMMY, NO_ADDRESS_LEFT, false))
  test("if a route's gateway cannot be reached", () => expectNothingLeft(DUMMY, FAR_GATEWAY, false))
  test("if IPAM gives no address (the reference's leaves the dummy)", () => expectNothingLeft(DUMMY, NO_ADDRESS))
})

test("DEL of an interface of another kind spares it (the reference removes it)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "other")
    expect(dummy(node, {}, implementation).del(pod)).toMatchObject(QUIET)
    return linksIn(pod).includes("eth0")
  }
  expect(BOTH.map(attempt)).toEqual([true, false])
})

test("DEL without IPAM succeeds (the reference's fails)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) =>
    dummy(node, { ipam: undefined }, implementation).del(node.pod()).exitCode
  expect(BOTH.map(attempt)).toEqual([0, 1])
})

test("CHECK finds a route that is missing (the reference does not look)", () => {
  using node = new Node()
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    const ipam = hostLocal(node, ["10.244.1.0/24"], { routes: [{ dst: "10.5.0.0/16" }] })
    const network = dummy(node, { ipam }, implementation)
    const result = network.connect(pod)
    pod.ip("route", "del", "10.5.0.0/16")
    return network.check(pod, result).error?.msg
  }
  expect(BOTH.map(attempt)).toEqual(["route 10.5.0.0/16 of eth0 is missing or goes another way", undefined])
})

test.each([
  ["before it has the pod's name", 2],
  ["before it has an address", 4],
  ["before it has its alias", 5],
])("what an ADD left that was killed %s is replaced by the next, and removed by DEL", (_, nth) => {
  using node = new Node()
  const network = dummy(node)
  const pod = node.pod()
  const call = { command: "ADD", netns: pod, config: network.config }
  const kill = () => disturb(node, "dummy", call, { name: "sendto", nth, happens: "signal=KILL" })
  expect(kill()).toBeUndefined()
  expect([network.add(pod).exitCode, linksIn(pod)]).toEqual([0, ["lo", "eth0"]])
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(kill()).toBeUndefined()
  expect(network.del(pod)).toMatchObject(QUIET)
  expect([linksIn(pod), leases(node)]).toEqual([["lo"], []])
})

test("CHECK names the first difference", () =>
  expectDifferencesNamed(DUMMY, [
    [(pod) => void pod.ip("link", "set", "eth0", "down"), "interface eth0 is down"],
    OTHER_MAC,
  ]))

describe("ADD is refused", () =>
  testRefused(DUMMY, [
    ["without IPAM", { ipam: undefined }, 7, "a dummy interface requires an IPAM configuration"],
    ["with an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
  ]))
