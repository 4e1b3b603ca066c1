import { expect, test } from "vitest"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import type { Survey } from "../../survey/survey.ts"
import { checkNode } from "./node.ts"

const prefix = (text: string) => parsePrefix(text) ?? { address: { family: 4 as const, value: 0n }, length: 0 }

/** A node with one pod, and a card that has that address. */
function nodeWith(address: string): Survey {
  const survey = {
    attached: [
      {
        network: "podnet",
        list: { plugins: [{ type: "ptp" }] },
        result: { ips: [{ address: prefix("10.244.1.2/24"), gateway: { family: 4, value: 1n } }] },
      },
    ],
    host: { readSysctl: (name: string) => (name.includes("conntrack") ? undefined : "1") },
    uplinks: [{ index: 2, name: "eth0" }],
    addresses: [{ index: 2, prefix: prefix(address) }],
    links: [],
    attempt: <Value>(read: () => Value) => read(),
    pod: () => undefined,
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
