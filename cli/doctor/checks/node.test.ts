import { expect, test } from "vitest"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import type { Survey } from "../../survey/survey.ts"
import { checkNode, isUplink } from "./node.ts"

const prefix = (text: string) => parsePrefix(text) ?? { address: { family: 4 as const, value: 0n }, length: 0 }

/** A node with one pod, and a card that has that address. */
function nodeWith(address: string): Survey {
  const survey = {
    attached: [{ network: "podnet", result: { ips: [{ address: prefix("10.244.1.2/24") }] } }],
    addresses: [{ index: 2, prefix: prefix(address) }],
    links: [{ index: 2, name: "eth0", kind: "", master: 0, alias: "" }],
    cache: { unreadable: [] },
  }
  return survey as unknown as Survey
}

test.each([
  ["10.244.1.200/24", ["overlap podnet"]],
  ["10.244.0.1/16", ["overlap podnet"]],
  ["10.244.1.129/25", ["overlap podnet"]],
  ["10.244.2.1/24", []],
  ["fd00::1/64", []],
])("beside a card with %s the findings are %j", (address, findings) => {
  expect([...checkNode(nodeWith(address), undefined)].map(({ kind, about }) => `${kind} ${about}`)).toEqual(findings)
})

test.each([
  [{ name: "eth0", kind: "", master: 0 }, true],
  [{ name: "bond0", kind: "bond", master: 0 }, true],
  [{ name: "eth0", kind: "", master: 7 }, false],
  [{ name: "lo", kind: "", master: 0 }, false],
  [{ name: "cni0", kind: "bridge", master: 0 }, false],
  [{ name: "vethx", kind: "veth", master: 0 }, false],
])("%j leads to other machines: %j", (link, leads) => {
  expect(isUplink(link as Parameters<typeof isUplink>[0])).toBe(leads)
})
