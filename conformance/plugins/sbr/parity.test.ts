import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import type { Config } from "../bridge/network.ts"
import { podOfTwo, QUIET, routesIn, rules, Sbr, told, V4, V6 } from "./network.ts"

const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

interface Case {
  readonly config?: Config
  readonly ips?: readonly Config[]
  /** Arguments of `ip` in the pod, before ADD. */
  readonly before?: readonly string[]
}

const SECOND = { address: "192.168.101.209/24", gateway: "192.168.101.1" }

const CASES: Readonly<Record<string, Case>> = {
  "one address": { ips: [V4] },
  "an IPv6 address": { ips: [V6] },
  "both families": {},
  "no gateway": { ips: [{ address: V4.address }, { address: V6.address }] },
  "an address of no interface in particular": { ips: [{ ...V4, interface: undefined }] },
  "an address of an interface that is not listed": {
    ips: [V4, { ...SECOND, interface: 1 }],
    before: ["addr add 192.168.101.209/24 dev net1"],
  },
  "two addresses": { ips: [V4, SECOND], before: ["addr add 192.168.101.209/24 dev net1"] },
  "two addresses of a network": {
    ips: [V4, { ...V4, address: "192.168.1.210/24" }],
    before: ["addr add 192.168.1.210/24 dev net1"],
  },
  "a default route already": { ips: [V4], before: ["route del default", "route add default via 192.168.1.1"] },
  "a default route by another gateway": {
    ips: [V4],
    before: ["route del default", "route add default via 192.168.1.7"],
  },
  "a default route of another metric": { ips: [V4], before: ["route add default via 192.168.1.7 metric 50"] },
  "routes by gateways": {
    before: [
      "route add 192.168.2.0/24 via 192.168.1.2",
      "route add 192.168.3.0/24 via 192.168.1.2 metric 7 mtu 1400",
      "-6 route add fd02::/64 via fd01::2",
      "route add 192.168.4.0/24 dev net1 scope link",
    ],
  },
  "routes over two links": {
    ips: [V4],
    before: ["route add 10.5.0.0/16 nexthop via 192.168.1.2 dev net1 nexthop via 10.0.0.7 dev eth0"],
  },
  "rules to the first tables": { before: ["rule add from 10.9.9.9 table 100", "-6 rule add from fd99::9 table 102"] },
  "a table that others fill": { config: { table: 5000 } },
}

/** Returns what both leave alike. Each has routes of its own address's family in a table; the reference has others there, too. */
function observed(pod: Pod) {
  const list = rules(pod)
  const tables = list.map((rule) => {
    const family = rule.includes(":") ? "-6" : "-4"
    return [rule, routesIn(pod, rule.replace(/.* to /, ""), [family])]
  })
  return { tables, main: routesIn(pod, "main") }
}

function attach(implementation: Implementation, { config = {}, ips, before = [] }: Case) {
  using node = new Node()
  const pod = podOfTwo(node)
  for (const words of before) pod.ip(...words.split(" "))
  const sbr = new Sbr(node, pod, { prevResult: told(pod, ips), ...config }, implementation)
  const { stdout, exitCode } = sbr.call("ADD")
  const added = observed(pod)
  const { exitCode: deleted } = sbr.call("DEL")
  return { exitCode, printed: stdout.replace(pod.path, "NETNS"), added, deleted, left: observed(pod) }
}

describe.each(Object.entries(CASES))("%s", (_, one) => {
  test("is the same as with the reference: the result, rules and routes, after ADD and after DEL", () => {
    const ours = attach("ours", one)
    expect(ours.exitCode).toBe(0)
    expect(ours).toEqual(attach("reference", one))
  })

  test.each(SWAPS)("added by %s, is checked and removed by %s", (maker, other) => {
    using node = new Node()
    const pod = podOfTwo(node)
    const { config = {}, ips, before = [] } = one
    for (const words of before) pod.ip(...words.split(" "))
    const others = rules(pod)
    const sbr = new Sbr(node, pod, { prevResult: told(pod, ips), ...config }, maker)
    expect(sbr.call("ADD").exitCode).toBe(0)
    expect(sbr.of(other).call("CHECK").exitCode).toBe(0)
    expect(sbr.of(other).call("DEL").exitCode).toBe(0)
    if (other === "ours") expect(rules(pod)).toEqual(others)
    expect(sbr.of("ours").call("DEL")).toMatchObject(QUIET)
    expect(rules(pod)).toEqual(others)
  })
})

test("a pod of the reference gets nothing twice by an ADD of ours", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const sbr = new Sbr(node, pod, {}, "reference")
  expect(sbr.call("ADD").exitCode).toBe(0)
  const before = observed(pod)
  expect(sbr.of("ours").call("ADD").exitCode).toBe(0)
  expect(observed(pod)).toEqual(before)
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "version %s: the result is printed byte for byte as by the reference",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node()
      const pod = podOfTwo(node)
      const prevResult =
        cniVersion < "0.3.0"
          ? { cniVersion, ip4: { ip: V4.address, gateway: V4.gateway }, dns: {} }
          : { ...told(pod, [{ version: "4", ...V4 }]), cniVersion }
      const { stdout, exitCode } = new Sbr(node, pod, { cniVersion, prevResult }, implementation).call("ADD")
      expect(exitCode).toBe(0)
      return stdout.replace(pod.path, "NETNS")
    }
    expect(print("ours")).toBe(print("reference"))
  },
)
