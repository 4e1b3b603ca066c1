import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal, leased } from "../bridge/network.ts"
import { mask, observe } from "../bridge/observed.ts"
import { tap } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "layer 2": () => ({}),
  "layer 2 with owner, mtu, a MAC address": () => ({ owner: 1000, mtu: 1400, mac: "02:00:00:00:00:11" }),
  "layer 2 with group and multiQueue": () => ({ group: 1000, multiQueue: true }),
  "a port of a bridge": () => ({ bridge: "br0" }),
  IPv4: (node) => ({ ipam: hostLocal(node) }),
  "dual stack": (node) => ({ ipam: hostLocal(node, DUAL) }),
  "IPv4 on a port of a bridge": (node) => ({ bridge: "br0", ipam: hostLocal(node) }),
  "routes and dns": (node) => ({
    dns: { nameservers: ["10.0.0.10"], search: ["a.b"] },
    ipam: hostLocal(node, ["10.244.1.0/24"], {
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.9" }],
    }),
  }),
  "addresses and dns of static, the latter of which is not passed on": () => ({
    ipam: { type: "static", addresses: [{ address: "10.20.0.7/24" }], dns: { nameservers: ["10.0.0.10"] } },
  }),
}

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test("is the same as with the reference: the result, the node and the pod, after ADD and after DEL", () => {
    const [ours, reference] = [attach("ours", config), attach("reference", config)]
    expect(ours.printed).toBe(reference.printed)
    expect({ ...ours.added, pod: reference.added.pod }).toEqual(reference.added)
    expect(ours.added.pod.links.map(withoutOwn)).toEqual(reference.added.pod.links)
    expect(ours.added.pod.addresses.map(withoutOwn)).toEqual(reference.added.pod.addresses)
    expect(ours.added.pod.routes).toEqual(reference.added.pod.routes)
    expect(ours.added.pod.ports).toEqual(reference.added.pod.ports)
    expect(ours.added.pod.sysctls.filter(counts)).toEqual(reference.added.pod.sysctls.filter(counts))
    expect(ours.deleted).toEqual(reference.deleted)
  })

  test.each(SWAPS)("added by %s, is checked and removed by %s", (first, second) => {
    using node = new Node()
    const network = tap(node, config(node), first)
    const pod = podFor(node)
    const prevResult = network.connect(pod)
    expect(network.as(second).check(pod, prevResult)).toMatchObject(QUIET)
    expect(network.as(second).del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect([pod.link("eth0"), leased(node)]).toEqual([undefined, []])
  })
})

test("with owner and group the reference leaves packet headers on, which whoever opens the tap chooses anew; ours as for any other", () => {
  using node = new Node()
  const look = (implementation: Implementation) => {
    const pod = node.pod()
    tap(node, { owner: 0, group: 0 }, implementation).connect(pod)
    return pod.link("eth0")?.linkinfo?.info_data
  }
  const [ours, reference] = [look("ours"), look("reference")]
  expect(ours).toMatchObject({ pi: false, vnet_hdr: false, user: "root", group: "root" })
  expect({ ...ours, pi: true, vnet_hdr: true }).toEqual(reference)
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node()
      const pod = node.pod()
      const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.1" }]
      const ipam = hostLocal(node, ["10.244.1.0/24"], { routes })
      const { stdout, exitCode } = tap(node, { cniVersion, ipam }, implementation).add(pod)
      expect(exitCode).toBe(0)
      return mask(stdout, pod.path)
    }
    expect(print("ours")).toBe(print("reference"))
  },
)

/** A pod with a bridge of its own. */
function podFor(node: Node) {
  const pod = node.pod()
  pod.ip("link", "add", "br0", "type", "bridge")
  return pod
}

function attach(implementation: Implementation, config: (node: Node) => Config) {
  using node = new Node()
  const network = tap(node, config(node), implementation)
  const pod = podFor(node)
  const { stdout } = network.add(pod)
  const added = observe(node, pod)
  network.del(pod)
  return { printed: mask(stdout, pod.path), added, deleted: observe(node, pod) }
}

/** Ours says whose it is, so that a killed ADD can be told from a finished one, and has no duplicates looked for where nobody can answer. */
function withoutOwn({ ifalias, addr_info, ...link }: Described): Described {
  if (ifalias !== undefined) expect(ifalias).toMatch(/^cni-ts net container-of-\S+ eth0$/)
  return { ...link, ...(addr_info && { addr_info: addr_info.map(({ nodad, ...address }) => address) }) }
}

function counts(line: string): boolean {
  return !/^ipv6\/conf\/eth0\/(accept_dad|ndisc_notify)/.test(line)
}
