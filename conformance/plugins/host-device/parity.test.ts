import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { type Config, leased } from "../bridge/network.ts"
import { mask, observe } from "../bridge/observed.ts"
import { dualOfLan, OUTSIDE, ofLan } from "../macvlan/network.ts"
import { hostDevice, isBack, MAC, plugInDevice } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "layer 2": () => ({}),
  "layer 2 with dns, which is not passed on": () => ({ dns: { nameservers: ["10.0.0.10"] } }),
  "a device by its MAC address": () => ({ device: "", hwaddr: MAC }),
  IPv4: (node) => ({ ipam: ofLan(node) }),
  "dual stack": (node) => ({ ipam: dualOfLan(node) }),
  "routes and dns": (node) => ({
    dns: { nameservers: ["10.0.0.10"], search: ["a.b"] },
    ipam: ofLan(node, { routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.20.0.9" }] }),
  }),
  "addresses and dns of static, the latter of which is not passed on": () => ({
    ipam: { type: "static", addresses: [{ address: "10.20.0.7/24" }], dns: { nameservers: ["10.0.0.10"] } },
  }),
}

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test("is the same as with the reference: the result, the node and the pod, after ADD and after DEL", () => {
    const [ours, reference] = [attach("ours", config), attach("reference", config)]
    expect(ours.printed).toBe(reference.printed)
    const { sysctls, ...pod } = ours.added.pod
    const { sysctls: wanted, ...referencePod } = reference.added.pod
    expect({ node: ours.added.node, pod }).toEqual({ node: reference.added.node, pod: referencePod })
    expect(sysctls.filter(counts)).toEqual(wanted.filter(counts))
    expect(ours.deleted).toEqual(reference.deleted)
  })

  test.each(SWAPS)("given to the pod by %s, is checked and given back by %s", (first, second) => {
    using node = new Node({ detection: "quick" })
    const pod = node.pod()
    plugInDevice(node)
    const network = hostDevice(node, config(node), first)
    const prevResult = network.connect(pod)
    expect(network.as(second).check(pod, prevResult)).toMatchObject(QUIET)
    expect(network.as(second).del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect([pod.link("eth0"), isBack(node), leased(node)]).toEqual([undefined, true, []])
  })
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node({ detection: "quick" })
      plugInDevice(node)
      const pod = node.pod()
      const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: OUTSIDE }]
      const network = hostDevice(node, { cniVersion, ipam: ofLan(node, { routes }) }, implementation)
      const { stdout, exitCode } = network.add(pod)
      expect(exitCode).toBe(0)
      return mask(stdout, pod.path)
    }
    expect(print("ours")).toBe(print("reference"))
  },
)

function attach(implementation: Implementation, config: (node: Node) => Config) {
  using node = new Node({ detection: "quick" })
  const pod = node.pod()
  plugInDevice(node)
  const network = hostDevice(node, config(node), implementation)
  const { stdout } = network.add(pod)
  const added = observe(node, pod)
  network.del(pod)
  return { printed: mask(stdout, pod.path), added, deleted: observe(node, pod) }
}

/** Returns if a setting is to be compared: not the announcement of addresses, as ours are, so that neighbours forget who had them. */
function counts(line: string): boolean {
  return !/^ipv[46].conf.eth0.(arp|ndisc)_notify/.test(line)
}
