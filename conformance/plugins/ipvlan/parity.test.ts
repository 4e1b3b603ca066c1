import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { type Config, leased } from "../bridge/network.ts"
import { mask, observe } from "../bridge/observed.ts"
import { dualOfLan, ofLan, plugIn } from "../macvlan/network.ts"
import { fixed, ipvlan, PREVIOUS } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "IPv4, mtu, mode l3s": (node) => ({ mode: "l3s", mtu: 1400, ipam: ofLan(node) }),
  "dual stack": (node) => ({ ipam: dualOfLan(node) }),
  "routes and dns": (node) => ({
    dns: { nameservers: ["10.0.0.10"], search: ["a.b"] },
    ipam: ofLan(node, { routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.20.0.9" }] }),
  }),
  "addresses and routes of a previous result": () => ({ prevResult: PREVIOUS }),
  "the pod's own link": (node) => ({ linkInContainer: true, ipam: ofLan(node) }),
}

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test("is the same as with the reference: the result, the node and the pod, after ADD and after DEL", () => {
    const [ours, reference] = [attach("ours", config), attach("reference", config)]
    expect(ours.printed).toBe(reference.printed)
    expect({ ...ours.added, pod: reference.added.pod }).toEqual(reference.added)
    expect(ours.added.pod.links.map(withoutAlias)).toEqual(reference.added.pod.links)
    expect(ours.added.pod.addresses.map(withoutAlias)).toEqual(reference.added.pod.addresses)
    expect(ours.added.pod.routes).toEqual(reference.added.pod.routes)
    expect(ours.added.pod.sysctls.filter(counts)).toEqual(reference.added.pod.sysctls.filter(counts))
    expect(ours.deleted).toEqual(reference.deleted)
  })

  test.each(SWAPS)("added by %s, is checked and removed by %s", (first, second) => {
    using node = new Node()
    const pod = node.pod()
    const network = ipvlan(node, config(node), first)
    plugIn(node, network.config["linkInContainer"] ? pod : node)
    const prevResult = network.connect(pod)
    expect(network.as(second).check(pod, prevResult)).toMatchObject(QUIET)
    expect(network.as(second).del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect([pod.link("eth0"), leased(node)]).toEqual([undefined, []])
  })
})

test("in a chain without `master` the result is printed byte for byte as by the reference", () => {
  const print = (implementation: Implementation) => {
    using node = new Node()
    plugIn(node)
    const pod = node.pod()
    return mask(ipvlan(node, { master: undefined, prevResult: PREVIOUS }, implementation).add(pod).stdout, pod.path)
  }
  expect(print("ours")).toBe(print("reference"))
})

test.each(["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node()
      plugIn(node)
      const pod = node.pod()
      const { stdout, exitCode } = ipvlan(node, { cniVersion, ipam: fixed("10.20.0.7/24") }, implementation).add(pod)
      expect(exitCode).toBe(0)
      return mask(stdout, pod.path)
    }
    expect(print("ours")).toBe(print("reference"))
  },
)

function attach(implementation: Implementation, config: (node: Node) => Config) {
  using node = new Node()
  const pod = node.pod()
  const network = ipvlan(node, config(node), implementation)
  plugIn(node, network.config["linkInContainer"] ? pod : node)
  const { stdout } = network.add(pod)
  const added = observe(node, pod)
  network.del(pod)
  return { printed: mask(stdout, pod.path), added, deleted: observe(node, pod) }
}

/** Ours says whose it is, so that a killed ADD can be told from a finished one. */
function withoutAlias({ ifalias, ...link }: Described): Described {
  if (ifalias !== undefined) expect(ifalias).toMatch(/^cni-ts net container-of-\S+ eth0$/)
  return link
}

/** Whether IPv6 addresses are announced is set by the reference also where there are none. */
function counts(line: string): boolean {
  return !line.startsWith("ipv6/conf/eth0/ndisc_notify")
}
