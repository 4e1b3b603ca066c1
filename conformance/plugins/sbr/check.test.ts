import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { type Config, hostLocal, Network } from "../bridge/network.ts"
import { dualOfLan, macvlan, plugIn } from "../macvlan/network.ts"
import { ptp } from "../ptp/network.ts"
import { podOfTwo, QUIET, Sbr, told, V4 } from "./network.ts"

describe("CHECK names what has changed (the reference compares nothing):", () => {
  const CHANGES: [string, readonly string[], string][] = [
    ["a rule is gone", ["rule", "del", "from", "192.168.1.209"], "the rule from 192.168.1.209 to a table is missing"],
    [
      "an IPv6 rule is gone",
      ["-6", "rule", "del", "from", "fd01::209"],
      "the rule from fd01::209 to a table is missing",
    ],
    [
      "a rule became one for fewer packets",
      ["rule", "add", "from", "192.168.1.209", "fwmark", "7", "table", "100"],
      "the rule from 192.168.1.209 to a table is missing",
    ],
    [
      "a default route is gone",
      ["route", "del", "default", "table", "100"],
      "the default route of net1 is missing in table 100",
    ],
    [
      "an IPv6 default route is gone",
      ["-6", "route", "del", "default", "table", "101"],
      "the default route of net1 is missing in table 101",
    ],
  ]

  test.each(CHANGES)("%s", (_, change, msg) => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("ADD").exitCode).toBe(0)
    expect(sbr.call("CHECK")).toMatchObject(QUIET)
    if (change.includes("fwmark")) pod.ip("rule", "del", "from", "192.168.1.209")
    pod.ip(...change)
    expect(sbr.call("CHECK").error).toMatchObject({ code: 104, msg: expect.stringContaining(msg) })
    expect(sbr.of("reference").call("CHECK").exitCode).toBe(0)
  })

  test("the interface was down, so that its routes are in the main table again", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod, { prevResult: told(pod, [{ address: V4.address }]) })
    expect(sbr.call("ADD").exitCode).toBe(0)
    pod.ip("link", "set", "net1", "down")
    pod.ip("link", "set", "net1", "up")
    const msg = "route 192.168.1.0/24 of net1 is in the main table, not in table 100"
    expect(sbr.call("CHECK").error).toMatchObject({ code: 104, msg: expect.stringContaining(msg) })
    expect(sbr.call("ADD").exitCode).toBe(0)
    expect(sbr.call("CHECK")).toMatchObject(QUIET)
  })

  test("the interface is gone", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod)
    expect(sbr.call("ADD").exitCode).toBe(0)
    pod.ip("link", "del", "net1")
    expect(sbr.call("CHECK").error).toMatchObject({ code: 104, msg: expect.stringContaining("net1 is gone") })
  })

  test("of a table that others fill, the rule to it", () => {
    using node = new Node()
    const pod = podOfTwo(node)
    const sbr = new Sbr(node, pod, { table: 5000 })
    expect(sbr.call("ADD").exitCode).toBe(0)
    const { error } = sbr.call("CHECK", { table: 5001 })
    expect(error).toMatchObject({
      code: 104,
      msg: expect.stringContaining("the rule from 192.168.1.209 to table 5001 is missing"),
    })
  })
})

/** Dual-stack networks with routes, as the pod's net1. */
const NETWORKS: Readonly<Record<string, (node: Node) => Network>> = {
  bridge: (node) => new Network(node, { isGateway: true, ipam: hostLocal(node, SUBNETS, { routes: ROUTES }) }),
  ptp: (node) => ptp(node, { ipam: hostLocal(node, SUBNETS, { routes: ROUTES }) }),
  macvlan: (node) => {
    plugIn(node)
    return macvlan(node, { ipam: { ...dualOfLan(node), routes: ROUTES } })
  },
}
const SUBNETS = ["10.244.7.0/24", "fd00:10:244:7::/64"]
const ROUTES: readonly Config[] = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }, { dst: "10.5.0.0/16" }, { dst: "fd05::/64" }]

/** plugins#297 */
describe.each(Object.entries(NETWORKS))("behind %s", (type, network) => {
  const call = (node: Node, implementations: readonly Implementation[]) => {
    const pod = node.pod()
    const made = network(node)
    const ifname = "net1"
    const chain = [
      ...implementations.map((one) => made.as(one)),
      ...implementations.map((one) => new Network(node, { type: "sbr" }, one)),
    ]
    const first = chain[0]?.connect(pod, { ifname })
    const at = implementations.length
    const result = chain[at]?.connect(pod, { ifname, config: { prevResult: first } }) ?? {}
    return { pod, result, check: (plugin: number) => chain[plugin]?.check(pod, result, { ifname }) }
  }

  test("CHECK of both still holds, and fails for a route that is gone from everywhere", () => {
    using node = new Node()
    const { pod, check } = call(node, ["ours"])
    expect([check(0), check(1)]).toMatchObject([QUIET, QUIET])
    expect(pod.ip("route", "show", "dev", "net1")).toEqual([])
    pod.ip("route", "del", "10.5.0.0/16", "table", "100")
    pod.run("ip", "route", "del", "10.5.0.0/16", "table", "101")
    expect(check(0)?.error, type).toMatchObject({ code: 104, msg: expect.stringContaining("10.5.0.0/16") })
  })

  test("CHECK of the reference fails once the reference's sbr was there", () => {
    using node = new Node()
    const { check } = call(node, ["reference"])
    expect(check(0)?.exitCode).toBe(1)
    expect(check(1)?.exitCode).toBe(0)
  })
})
