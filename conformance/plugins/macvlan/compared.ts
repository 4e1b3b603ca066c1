import { expect } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { type Config, leased, type Network } from "../bridge/network.ts"
import { mask, observe } from "../bridge/observed.ts"
import { plugIn } from "./network.ts"

/** Returns a network of a plugin whose links are on `uplink`. */
export type Make = (node: Node, config: Config, implementation: Implementation) => Network

type ConfigOf = (node: Node) => Config

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

/** Expects the result, the node and the pod to be the same with both, after ADD and after DEL, but for sysctls of these names. */
export function expectSame(make: Make, config: ConfigOf, otherwise: RegExp): void {
  const [ours, reference] = [attach(make, config, "ours"), attach(make, config, "reference")]
  const counts = (line: string) => !otherwise.test(line)
  expect(ours.printed).toBe(reference.printed)
  expect({ ...ours.added, pod: reference.added.pod }).toEqual(reference.added)
  expect(ours.added.pod.links.map(withoutAlias)).toEqual(reference.added.pod.links)
  expect(ours.added.pod.addresses.map(withoutAlias)).toEqual(reference.added.pod.addresses)
  expect(ours.added.pod.routes).toEqual(reference.added.pod.routes)
  expect(ours.added.pod.sysctls.filter(counts)).toEqual(reference.added.pod.sysctls.filter(counts))
  expect(ours.deleted).toEqual(reference.deleted)
}

/** Expects the same result of both, byte for byte, and what either has added to be checked and removed by the other. */
export function expectSwappable(make: Make, config: ConfigOf): void {
  const printed = SWAPS.map(([first, second]) => {
    using node = new Node({ detection: "quick" })
    const pod = plugged(node, config(node))
    const { stdout, result: prevResult } = make(node, config(node), first).add(pod)
    const other = make(node, config(node), second)
    expect(prevResult && other.check(pod, prevResult)).toMatchObject(QUIET)
    expect(other.del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect([pod.link("eth0"), leased(node)]).toEqual([undefined, []])
    return mask(stdout, pod.path)
  })
  expect(printed[0]).toBe(printed[1])
}

/** Expects both to print the same result, byte for byte, for versions that have no CHECK. */
export function expectSamePrint(make: Make, config: ConfigOf): void {
  expect(print(make, config, "ours")).toBe(print(make, config, "reference"))
}

function print(make: Make, config: ConfigOf, implementation: Implementation): string {
  using node = new Node({ detection: "quick" })
  const pod = plugged(node, config(node))
  const { stdout, exitCode } = make(node, config(node), implementation).add(pod)
  expect(exitCode).toBe(0)
  return mask(stdout, pod.path)
}

function attach(make: Make, config: ConfigOf, implementation: Implementation) {
  using node = new Node({ detection: "quick" })
  const pod = plugged(node, config(node))
  const network = make(node, config(node), implementation)
  const { stdout } = network.add(pod)
  const added = observe(node, pod)
  network.del(pod)
  return { printed: mask(stdout, pod.path), added, deleted: observe(node, pod) }
}

function plugged(node: Node, config: Config) {
  const pod = node.pod()
  plugIn(node, config["linkInContainer"] ? pod : node)
  return pod
}

/** Ours says whose it is, so that a killed ADD can be told from a finished one. */
function withoutAlias({ ifalias, ...link }: Described): Described {
  if (ifalias !== undefined) expect(ifalias).toMatch(/^cni-ts net container-of-\S+ eth0$/)
  return link
}
