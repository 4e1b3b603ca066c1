import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal, leased } from "../bridge/network.ts"
import { mask, observe } from "../bridge/observed.ts"
import { dummy } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  IPv4: () => ({}),
  "dual stack": (node) => ({ ipam: hostLocal(node, DUAL) }),
  "routes, and keys that are none of its": (node) => ({
    mtu: 1400,
    mac: "02:00:00:00:00:11",
    dns: { nameservers: ["10.0.0.10"] },
    ipam: hostLocal(node, ["10.244.1.0/24"], {
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.9" }],
    }),
  }),
  "addresses and dns of static": () => ({
    ipam: { type: "static", addresses: [{ address: "169.254.169.254/32" }], dns: { nameservers: ["10.0.0.10"] } },
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
    expect(ours.added.pod.sysctls.filter(counts)).toEqual(reference.added.pod.sysctls.filter(counts))
    expect(ours.deleted).toEqual(reference.deleted)
  })

  test.each(SWAPS)("added by %s, is checked and removed by %s", (first, second) => {
    using node = new Node()
    const pod = node.pod()
    const network = dummy(node, config(node), first)
    const prevResult = network.connect(pod)
    expect(network.as(second).check(pod, prevResult)).toMatchObject(QUIET)
    expect(network.as(second).del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect([pod.link("eth0"), leased(node)]).toEqual([undefined, []])
  })
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node()
      const pod = node.pod()
      const { stdout, exitCode } = dummy(node, { cniVersion }, implementation).add(pod)
      expect(exitCode).toBe(0)
      return mask(stdout, pod.path)
    }
    expect(print("ours")).toBe(print("reference"))
  },
)

function attach(implementation: Implementation, config: (node: Node) => Config) {
  using node = new Node()
  const pod = node.pod()
  const network = dummy(node, config(node), implementation)
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

/** Nobody hears an announcement, or answers who looks for a duplicate. */
function counts(line: string): boolean {
  return !/^(ipv6\/conf\/eth0\/(accept_dad|ndisc_notify)|ipv4\/conf\/eth0\/arp_notify)/.test(line)
}
