import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { ruleset } from "../../lab/ruleset.ts"
import { type Config, DUAL, hostLocal, leased, V4, V6 } from "../bridge/network.ts"
import { mask, readSysctls } from "../bridge/observed.ts"
import { ptp, veths } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

const MORE = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.1", priority: 50 }, { dst: "fd05::/48" }]

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  IPv4: () => ({}),
  IPv6: (node) => ({ ipam: hostLocal(node, [V6]) }),
  "dual stack, mtu": (node) => ({ mtu: 1450, ipam: hostLocal(node, DUAL) }),
  "two networks of a family": (node) => ({ ipam: hostLocal(node, ["10.244.1.0/24", "10.9.0.0/29"]) }),
  "ipMasq by iptables": () => ({ ipMasq: true, ipMasqBackend: "iptables" }),
  "ipMasq by nftables": () => ({ ipMasq: true, ipMasqBackend: "nftables" }),
  "routes and dns": (node) => ({
    dns: { nameservers: ["10.0.0.10"] },
    ipam: hostLocal(node, DUAL, { routes: MORE }),
  }),
}

describe.each(Object.entries(NETWORKS))("%s", (name, config) => {
  test("is the same as with the reference: the result, addresses and routes of both ends, after ADD and after DEL", () => {
    const [ours, reference] = [attach("ours", config), attach("reference", config)]
    expect(ours).toEqual(reference)
  })

  test.each(SWAPS)("added by %s, is checked and removed by %s", (first, second) => {
    using node = new Node({ detection: "quick" })
    const pod = node.pod()
    // The reference waits for duplicate address detection of IPv6.
    for (const cniVersion of name === "IPv4" ? ["0.4.0", "1.0.0", "1.1.0"] : ["1.0.0"]) {
      const network = ptp(node, { cniVersion, ...config(node) }, first)
      const prevResult = network.connect(pod)
      expect(network.as(second).check(pod, prevResult), cniVersion).toMatchObject(QUIET)
      expect(network.as(second).del(pod, { config: { prevResult } }), cniVersion).toMatchObject(QUIET)
      expect([veths(node), pod.link("eth0"), leased(node)], cniVersion).toEqual([[], undefined, []])
      expect(ruleset(node), cniVersion).not.toContain(pod.containerId)
      network.as(second).connect(pod)
      expect(network.del(pod), cniVersion).toMatchObject(QUIET)
    }
  })
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node({ detection: "quick" })
      const pod = node.pod()
      const subnets = ["0.2.0", "1.0.0"].includes(cniVersion) ? DUAL : [V4]
      const ipam = hostLocal(node, subnets, { routes: [{ dst: "0.0.0.0/0" }] })
      const { stdout, exitCode } = ptp(node, { cniVersion, ipam }, implementation).add(pod)
      expect(exitCode).toBe(0)
      return mask(stdout, pod.path)
    }
    expect(print("ours")).toBe(print("reference"))
  },
)

test("pods of both implementations reach each other and the gateway they share", () => {
  using node = new Node({ detection: "quick" })
  const network = ptp(node, { ipam: hostLocal(node, ["10.244.1.0/24"], { routes: [{ dst: "0.0.0.0/0" }] }) })
  const [ours, theirs] = [node.pod(), node.pod()] as const
  network.connect(ours)
  network.as("reference").connect(theirs)
  expect([ours.pings("10.244.1.3"), theirs.pings("10.244.1.2"), theirs.pings("10.244.1.1")]).toEqual([true, true, true])
})

function attach(implementation: Implementation, config: (node: Node) => Config) {
  using node = new Node({ detection: "quick" })
  const pod = node.pod()
  const network = ptp(node, config(node), implementation)
  const { stdout } = network.add(pod)
  const added = [look(pod, "eth0"), look(node, veths(node)[0]?.ifname ?? "")]
  const forwarding = [node.sysctl("net/ipv4/ip_forward"), node.sysctl("net/ipv6/conf/all/forwarding")]
  network.del(pod)
  const left = [veths(node), pod.ip("link", "show").length]
  return { printed: mask(stdout, pod.path), added, forwarding, left }
}

test("a route in another table is made by both, and checked by ours (the reference looks in the main table)", () => {
  using node = new Node({ detection: "quick" })
  const network = ptp(node, { ipam: hostLocal(node, [V4], { routes: [{ dst: "10.6.0.0/16", table: 100 }] }) })
  const [ours, theirs] = [node.pod(), node.pod()] as const
  const results = [network.connect(ours), network.as("reference").connect(theirs)] as const
  const shown = (pod: Pod) => pod.ip("route", "show", "table", "100")
  expect(shown(ours)).toEqual(shown(theirs))
  expect([network.check(ours, results[0]).exitCode, network.check(theirs, results[1]).exitCode]).toEqual([0, 0])
  expect(network.as("reference").check(theirs, results[1]).exitCode).toBe(1)
})

/** One end as its own tools see it: MTU, addresses, and routes with source and scope. */
function look(where: Node | Pod, name: string) {
  const shown = (family: "-4" | "-6") =>
    where
      .ip(family, "route", "show", "dev", name)
      .filter(({ dst }) => !String(dst).startsWith("fe80"))
      .map(({ dst, gateway, prefsrc, scope, metric }) => ({ dst, gateway, prefsrc, scope, metric }))
      .sort((a, b) => String(a.dst).localeCompare(String(b.dst)))
  const { mtu, flags } = where.link(name) ?? {}
  const up = flags?.includes("UP")
  const sysctls = readSysctls(where, name).filter(counts)
  return { mtu, up, addresses: where.addresses(name).sort(), routes: [shown("-4"), shown("-6")], sysctls }
}

/** Ours looks for no duplicates on a link that nobody else is on, and the pod announces its addresses: the neighbour forgets who had them. */
function counts(line: string): boolean {
  return !/^ipv6\/conf\/LINK\/(accept_dad|ndisc_notify):|^ipv4\/conf\/LINK\/arp_notify:/.test(line)
}
