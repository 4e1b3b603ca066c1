import { expect } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { type Config, leased, type Network } from "../bridge/network.ts"
import { mask, observe } from "../bridge/observed.ts"

/** Returns a network of a plugin whose links nobody but the pod has. */
export type Make = (node: Node, config: Config, implementation: Implementation) => Network

type ConfigOf = (node: Node) => Config

const QUIET = { exitCode: 0, stdout: "", stderr: "" }

export const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

/** Expects the result, the node and the pod to be the same with both, after ADD and after DEL, but for sysctls of these names. */
export function expectSame(make: Make, config: ConfigOf, otherwise: RegExp, prepare: Prepare = nothing): void {
  const [ours, reference] = [attach("ours"), attach("reference")]
  const counts = (line: string) => !otherwise.test(line)
  expect(ours.printed).toBe(reference.printed)
  expect({ ...ours.added, pod: reference.added.pod }).toEqual(reference.added)
  expect(ours.added.pod.links.map(withoutOwn)).toEqual(reference.added.pod.links)
  expect(ours.added.pod.addresses.map(withoutOwn)).toEqual(reference.added.pod.addresses)
  expect(ours.added.pod.routes).toEqual(reference.added.pod.routes)
  expect(ours.added.pod.ports).toEqual(reference.added.pod.ports)
  expect(ours.added.pod.sysctls.filter(counts)).toEqual(reference.added.pod.sysctls.filter(counts))
  expect(ours.deleted).toEqual(reference.deleted)

  function attach(implementation: Implementation) {
    using node = new Node()
    const network = make(node, config(node), implementation)
    const pod = prepare(node.pod())
    const { stdout } = network.add(pod)
    const added = observe(node, pod)
    network.del(pod)
    return { printed: mask(stdout, pod.path), added, deleted: observe(node, pod) }
  }
}

/** Gives a pod what the plugin finds in it. */
export type Prepare = (pod: Pod) => Pod

const nothing: Prepare = (pod) => pod

/** Ours says whose it is, so that a killed ADD can be told from a finished one, and has no duplicates looked for where nobody can answer. */
function withoutOwn({ ifalias, addr_info, ...link }: Described): Described {
  if (ifalias !== undefined) expect(ifalias).toMatch(/^cni-ts net container-of-\S+ eth0$/)
  return { ...link, ...(addr_info && { addr_info: addr_info.map(({ nodad, ...address }) => address) }) }
}

/** Expects that what the first has added is checked and removed by the second. */
export function expectSwappable(
  make: Make,
  config: ConfigOf,
  [first, second]: readonly [Implementation, Implementation],
  prepare: Prepare = nothing,
): void {
  using node = new Node()
  const pod = prepare(node.pod())
  const network = make(node, config(node), first)
  const prevResult = network.connect(pod)
  expect(network.as(second).check(pod, prevResult)).toMatchObject(QUIET)
  expect(network.as(second).del(pod, { config: { prevResult } })).toMatchObject(QUIET)
  expect([pod.link("eth0"), leased(node)]).toEqual([undefined, []])
}

/** Expects both to print the same result, byte for byte. */
export function expectSamePrint(make: Make, config: ConfigOf): void {
  const print = (implementation: Implementation) => {
    using node = new Node()
    const pod = node.pod()
    const { stdout, exitCode } = make(node, config(node), implementation).add(pod)
    expect(exitCode).toBe(0)
    return mask(stdout, pod.path)
  }
  expect(print("ours")).toBe(print("reference"))
}
