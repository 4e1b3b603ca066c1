import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { saved } from "../../xtables/rules.ts"
import { ADDRESSES, Firewall, POLICIES, QUIET, rulesFor } from "./network.ts"

const SWAPS: readonly [Implementation, Implementation][] = [
  ["ours", "reference"],
  ["reference", "ours"],
]

describe.each(SWAPS)("added by %s, checked and removed by %s", (first, second) => {
  test.each(POLICIES)("with ingressPolicy %s", (ingressPolicy) => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node, { ingressPolicy })
    firewall.as(first).allow(pod)
    const before = saved(node)
    expect(firewall.as(second).tell("CHECK", pod)).toMatchObject({ exitCode: 0 })
    firewall.as(second).allow(pod)
    expect(saved(node).sort()).toEqual(before.sort())
    expect(firewall.as(first).tell("CHECK", pod)).toMatchObject({ exitCode: 0 })
    expect(firewall.as(second).tell("DEL", pod)).toMatchObject(QUIET)
    expect(rulesFor(node)).toEqual([])
    firewall.as(second).allow(pod)
    expect(firewall.as(first).tell("DEL", pod)).toMatchObject(QUIET)
    expect(rulesFor(node)).toEqual([])
  })
})

test("pods of both share the chains, whoever comes and goes", () => {
  using node = new Node()
  const firewall = new Firewall(node)
  const pods = (["ours", "reference", "ours", "reference"] as const).map((implementation, index) => {
    const [pod, addresses] = [node.pod(), [`10.1.0.${index + 2}/24`, `fd00::${index + 2}/64`]]
    firewall.as(implementation).allow(pod, addresses)
    return { pod, addresses }
  })
  for (const [index, { pod, addresses }] of pods.entries()) {
    for (const implementation of ["ours", "reference"] as const) {
      expect(firewall.as(implementation).tell("CHECK", pod, addresses)).toMatchObject(QUIET)
    }
    expect(firewall.as(index < 2 ? "ours" : "reference").tell("DEL", pod, addresses)).toMatchObject(QUIET)
    expect(pods.map((other) => rulesFor(node, other.addresses).length)).toEqual(
      pods.map((_, at) => (at > index ? 4 : 0)),
    )
  }
})

test("an ADD of a pod that the Go plugin added makes its rules ours: DEL without previous result removes them", () => {
  using node = new Node()
  const pod = node.pod()
  const firewall = new Firewall(node)
  firewall.as("reference").allow(pod)
  expect(firewall.forget(pod)).toMatchObject(QUIET)
  expect(rulesFor(node, ADDRESSES)).toHaveLength(4) // they do not say whose they are
  firewall.allow(pod)
  expect(rulesFor(node)).toHaveLength(4)
  expect(firewall.forget(pod)).toMatchObject(QUIET)
  expect(rulesFor(node)).toEqual([])
})
