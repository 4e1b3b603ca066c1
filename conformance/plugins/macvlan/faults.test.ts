import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { leases } from "../bridge/network.ts"
import {
  type Cause,
  expectDifferencesNamed,
  expectForgivingDel,
  expectLeasesCollected,
  expectNothingLeft,
  expectSecondAddRefused,
  expectUnfinishedSpared,
  FAR_GATEWAY,
  type Harm,
  linksIn,
  NO_ADDRESS,
  NO_ADDRESS_LEFT,
  OTHER_MAC,
  testRefused,
} from "../pod-link.ts"
import { MACVLAN, macvlan, ofLan, plugIn } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

test("a second ADD is refused and does the first no harm; DEL of another network spares it", () =>
  expectSecondAddRefused(MACVLAN))

test("DEL spares a macvlan that an ADD of another attachment has not finished", () => expectUnfinishedSpared(MACVLAN))

test("DEL needs neither namespace, nor master, nor a config that makes sense, nor an ADD before it", () =>
  expectForgivingDel(MACVLAN))

test("GC frees the leases of attachments that are no longer valid", () => expectLeasesCollected(MACVLAN))

test.each<[string, Cause]>([
  ["IPAM has no address left", NO_ADDRESS_LEFT],
  ["IPAM gives no address", NO_ADDRESS],
  ["a route's gateway cannot be reached", FAR_GATEWAY],
])("a failed ADD leaves neither macvlan nor lease (the reference's leaves the macvlan) if %s", (_, cause) =>
  expectNothingLeft(MACVLAN, cause),
)

test("DEL succeeds where the master was removed, and the macvlan with it", () => {
  using node = new Node()
  plugIn(node)
  const network = macvlan(node, { ipam: ofLan(node) })
  const pod = node.pod()
  const result = network.connect(pod)
  node.ip("link", "del", "uplink")
  expect(network.check(pod, result).exitCode).toBe(1)
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(leases(node)).toEqual([])
})

test("CHECK names the first difference", () => {
  const otherMaster: Harm = [
    (_, node) => {
      node.ip("link", "set", "uplink", "down")
      node.ip("link", "set", "uplink", "name", "old")
      node.ip("link", "add", "uplink", "type", "veth", "peer", "name", "y")
    },
    "eth0 is not on uplink",
  ]
  expectDifferencesNamed(MACVLAN, [otherMaster, OTHER_MAC])
})

describe("ADD is refused", () =>
  testRefused(MACVLAN, [
    ["for an unknown mode", { mode: "source" }, 7, 'unknown macvlan mode: "source"'],
    ["for an mtu above the master's", { mtu: 1501 }, 7, "invalid MTU 1501, must be [0, master MTU(1500)]"],
    ["for an mtu below 0", { mtu: -1 }, 7, "mtu: -1 is not between"],
    ["for a master that is not there", { master: "eth9" }, 7, 'there is no interface "eth9" on the node'],
    ["for a master that the pod lacks", { linkInContainer: true }, 7, 'there is no interface "uplink" in the pod'],
    ["for a MAC address that is none", { mac: "x" }, 7, 'mac: "x" is not a MAC address'],
    ["for a MAC address of a group", { mac: "01:00:5e:00:00:01" }, 7, "mac: "],
    ["for a negative bcqueuelen", { bcqueuelen: -1 }, 7, "bcqueuelen: -1 is not between"],
    ["for a master on which there can be no macvlan", { master: "lo" }, 7, 'master: interface "lo" is the loopback'],
    ["for a mode that is a number", { mode: 4 }, 6, "mode: expected a string"],
    ["for an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
  ]))

test("ADD is refused for a master that is a port of a bridge, as busy", () => {
  using node = new Node()
  plugIn(node)
  node.ip("link", "add", "br0", "type", "bridge")
  node.ip("link", "set", "uplink", "master", "br0")
  const pod = node.pod()
  expect(macvlan(node).add(pod).error).toMatchObject({
    code: 102,
    msg: 'no macvlan can be on interface "uplink": it is a port of a bridge or bond',
  })
  expect(linksIn(pod)).toEqual(["lo"])
})
