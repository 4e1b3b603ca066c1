import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import type { Config } from "../bridge/network.ts"
import { mask, observe } from "../bridge/observed.ts"
import { ADDRESSES, podWith, QUIET, ROUTES, resultOf, vrf } from "./network.ts"

const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

const NETWORKS: Readonly<Record<string, readonly [config: Config, lines: readonly string[]]>> = {
  "no addresses": [{}, []],
  "dual stack with routes": [{}, [...ADDRESSES, ...ROUTES]],
  "a table": [{ table: 1001 }, [...ADDRESSES, ...ROUTES]],
}

describe.each(Object.entries(NETWORKS))("%s", (_, [config, lines]) => {
  test("is the same as with the reference: the result and the pod after ADD", () => {
    const [ours, reference] = [attach("ours", config, lines), attach("reference", config, lines)]
    expect(ours).toEqual(reference)
  })

  test.each(SWAPS)("added by %s, is checked and removed by %s", (first, second) => {
    using node = new Node()
    const pod = podWith(node, lines)
    const network = vrf(node, { ...config, prevResult: resultOf(pod) }, first)
    const result = network.connect(pod)
    expect(network.as(second).check(pod, result)).toMatchObject(QUIET)
    expect(network.as(second).del(pod)).toMatchObject(QUIET)
    expect([pod.link("blue"), pod.link("eth0")?.master]).toEqual([undefined, undefined])
  })
})

test.each(["0.3.0", "0.3.1", "1.0.0"])(
  "the result at %s is printed byte for byte as by the reference, or refused",
  (cniVersion) => {
    const print = (implementation: Implementation) => {
      using node = new Node()
      const pod = podWith(node)
      const ips = [{ version: "4", address: "10.1.0.2/24", gateway: "10.1.0.1", interface: 0 }]
      const prevResult = { ...resultOf(pod), cniVersion, ips, routes: [{ dst: "0.0.0.0/0" }], dns: { domain: "x" } }
      const { stdout, error } = vrf(node, { cniVersion, prevResult }, implementation).add(pod)
      return error?.code ?? mask(stdout, pod.path)
    }
    expect(print("ours")).toEqual(print("reference"))
  },
)

function attach(implementation: Implementation, config: Config, lines: readonly string[]) {
  using node = new Node()
  const pod = podWith(node, lines)
  const { stdout } = vrf(node, { ...config, prevResult: resultOf(pod) }, implementation).add(pod)
  return { printed: mask(stdout, pod.path), pod: observe(node, pod).pod }
}
