import { symlinkSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import type { Config } from "../bridge/network.ts"
import { macvlan, ofLan, plugIn } from "../macvlan/network.ts"
import {
  expectDifferencesNamed,
  expectForgivingDel,
  expectLeasesCollected,
  expectNothingLeft,
  expectSecondAddRefused,
  expectUnfinishedSpared,
  FAR_GATEWAY,
  linksIn,
} from "../pod-link.ts"
import { fixed, IPVLAN, ipvlan } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const BOTH: readonly Implementation[] = ["ours", "reference"]

test("a second ADD is refused and does the first no harm; DEL of another network spares it", () =>
  expectSecondAddRefused(IPVLAN))

test("DEL spares an ipvlan that an ADD of another attachment has not finished", () => expectUnfinishedSpared(IPVLAN))

test("DEL needs neither namespace, nor master, nor a config that makes sense, nor an ADD before it", () =>
  expectForgivingDel(IPVLAN))

test("GC frees the leases of attachments that are no longer valid", () => expectLeasesCollected(IPVLAN))

test("a failed ADD leaves neither ipvlan nor lease (the reference's leaves the ipvlan)", () =>
  expectNothingLeft(IPVLAN, FAR_GATEWAY))

test("an mtu above the master's is refused: what is larger than that is lost on the way (the reference takes it)", () => {
  using node = new Node()
  plugIn(node)
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    const { error } = ipvlan(node, { mtu: 9000, ipam: fixed("10.20.0.7/24") }, implementation).add(pod)
    return [error?.code, pod.link("eth0")?.mtu]
  }
  expect(BOTH.map(attempt)).toEqual([
    [7, undefined],
    [undefined, 9000],
  ])
})

test("CHECK without `master` succeeds (the reference looks for an interface without a name)", () => {
  using node = new Node()
  plugIn(node)
  node.ip("route", "add", "default", "dev", "uplink")
  const attempt = (implementation: Implementation, last: number) => {
    const pod = node.pod()
    const network = ipvlan(node, { master: undefined, ipam: fixed(`10.20.0.${last}/24`) }, implementation)
    return network.check(pod, network.connect(pod)).error?.msg
  }
  expect([attempt("ours", 7), attempt("reference", 8)]).toEqual([
    undefined,
    'failed to lookup master "": Link not found',
  ])
})

test("DEL without `master` needs no default route (the reference fails and leaves the ipvlan)", () => {
  using node = new Node()
  plugIn(node)
  const attempt = (implementation: Implementation, last: number) => {
    const pod = node.pod()
    const network = ipvlan(node, { master: undefined, ipam: fixed(`10.20.0.${last}/24`) }, implementation)
    node.ip("route", "add", "default", "dev", "uplink")
    network.connect(pod)
    node.ip("route", "del", "default")
    return [network.del(pod).exitCode, linksIn(pod)]
  }
  expect([attempt("ours", 7), attempt("reference", 8)]).toEqual([
    [0, ["lo"]],
    [1, ["lo", "eth0"]],
  ])
})

describe("a master whose packets the kernel gives to others is refused in words (the reference says: device or resource busy)", () => {
  const busy = (type: string, others: string) => ({
    code: 102,
    msg: `no ${type} can be on interface "uplink": ${others}`,
  })

  test("a macvlan beside ipvlans, an ipvlan beside macvlans", () => {
    using node = new Node()
    plugIn(node)
    const [first, second] = [node.pod(), node.pod()]
    ipvlan(node).connect(first)
    expect(macvlan(node).add(second).error).toMatchObject(busy("macvlan", "links of another kind are"))
    expect(macvlan(node, {}, "reference").add(second).error?.msg).toContain("device or resource busy")
    expect(ipvlan(node).del(first)).toMatchObject(QUIET)
    macvlan(node).connect(first)
    expect(ipvlan(node).add(second).error).toMatchObject(busy("ipvlan", "links of another kind are"))
    expect(linksIn(second)).toEqual(["lo"])
  })

  test("a port of a bridge", () => {
    using node = new Node()
    plugIn(node)
    node.ip("link", "add", "br0", "type", "bridge")
    node.ip("link", "set", "uplink", "master", "br0")
    const pod = node.pod()
    expect(ipvlan(node).add(pod).error).toMatchObject(busy("ipvlan", "it is a port of a bridge or bond"))
    expect(linksIn(pod)).toEqual(["lo"])
  })
})

test("another network's mode on the same master becomes that of all: CHECK says so", () => {
  using node = new Node()
  plugIn(node)
  const [first, second] = [node.pod(), node.pod()]
  const network = ipvlan(node, { ipam: fixed("10.20.0.7/24") })
  const result = network.connect(first)
  ipvlan(node, { name: "other", mode: "l3", ipam: fixed("10.20.0.8/24") }).connect(second)
  expect(network.check(first, result).error).toMatchObject({
    code: 104,
    msg: "ipvlan mode of eth0 is l3, not l2",
    details: "all ipvlans on one master have the mode of the one that was made last",
  })
})

test("an address that another ipvlan of the master has is refused, and nothing is left", () => {
  using node = new Node()
  plugIn(node)
  const network = ipvlan(node, { ipam: fixed("10.20.0.7/24") })
  const [first, second] = [node.pod(), node.pod()]
  network.connect(first)
  const { error } = network.add(second)
  expect(error).toMatchObject({ code: 100, msg: expect.stringContaining("already assigned to an ipvlan device") })
  expect(linksIn(second)).toEqual(["lo"])
})

test("DEL by a path that leads to another pod by now spares its ipvlan, whose MAC address is the same", () => {
  using node = new Node()
  plugIn(node)
  const path = join(node.dir, "netns")
  const [first, second] = [node.pod(), node.pod()]
  const network = ipvlan(node, { ipam: ofLan(node) }, "reference")
  const prevResult = network.connect(first)
  const own = network.connect(second)
  symlinkSync(second.path, path)
  const ask = (config: Config) => ipvlan(node, config).ask("DEL", path, { containerId: first.containerId })
  expect([ask({ prevResult }), ask({}), linksIn(second)]).toMatchObject([QUIET, QUIET, ["lo", "eth0"]])
  expect(ipvlan(node, { prevResult: own }).ask("DEL", path)).toMatchObject(QUIET)
  expect(linksIn(second)).toEqual(["lo"])
})

test("CHECK names the first difference", () => expectDifferencesNamed(IPVLAN))

test("CHECK sees that the master is another (the reference does not)", () => {
  using node = new Node()
  plugIn(node)
  const network = ipvlan(node, { ipam: fixed("10.20.0.7/24") })
  const pod = node.pod()
  const result = network.connect(pod)
  const onLo = { config: { master: "lo" } }
  expect(network.check(pod, result, onLo).error?.msg).toBe("eth0 is not on lo")
  expect(network.as("reference").check(pod, result, onLo)).toMatchObject(QUIET)
})
