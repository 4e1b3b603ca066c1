import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { type Budget, expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { resultOf } from "../portmap/network.ts"
import { type Config, Firewall, POLICIES } from "./network.ts"

type Step = "ADD" | "ADD again" | "CHECK" | "DEL" | "DEL again"

const DEL: Pick<Readonly<Record<Step, Budget>>, "DEL" | "DEL again"> = {
  DEL: { requests: 4, systemCalls: 29 },
  "DEL again": { requests: 3, systemCalls: 27 },
}

const BUDGETS: readonly (readonly [string, readonly string[], Config, Readonly<Record<Step, Budget>>])[] = [
  [
    "IPv4",
    ["10.1.0.2/24"],
    {},
    {
      ADD: { requests: 4, systemCalls: 36 },
      "ADD again": { requests: 3, systemCalls: 34 },
      CHECK: { requests: 2, systemCalls: 23 },
      ...DEL,
    },
  ],
  [
    "dual stack",
    ["10.1.0.2/24", "fd00::2/64"],
    {},
    {
      ADD: { requests: 6, systemCalls: 42 },
      "ADD again": { requests: 5, systemCalls: 40 },
      CHECK: { requests: 4, systemCalls: 29 },
      ...DEL,
    },
  ],
  [
    "dual stack, same-bridge",
    ["10.1.0.2/24", "fd00::2/64"],
    { ingressPolicy: "same-bridge" },
    {
      ADD: { requests: 10, systemCalls: 54 },
      "ADD again": { requests: 9, systemCalls: 52 },
      CHECK: { requests: 8, systemCalls: 41 },
      ...DEL,
    },
  ],
]

test.each(BUDGETS)("%s keeps to its budgets, and no process is started", (_, addresses, config, budgets) => {
  using node = new Node()
  const pod = node.pod()
  const firewall = new Firewall(node, config)
  firewall.allow(node.pod(), ["10.1.0.9/24", "fd00::9/64"]) // the node's first makes the chains
  for (const [step, budget] of Object.entries(budgets)) {
    const [command = ""] = step.split(" ")
    const call = firewall.call(command, pod, { config: { prevResult: resultOf(pod, addresses) } })
    expectBudget(node.trace("firewall", call), budget)
  }
})

/** The kernel counts a chain that is made again as an update, and then keeps the plugin waiting, as after a removal. */
test.each(POLICIES)("ADD of a later pod sends its rules and nothing else, ingressPolicy %s", (ingressPolicy) => {
  using node = new Node()
  const firewall = new Firewall(node, { ingressPolicy })
  firewall.allow(node.pod(), ["10.1.0.9/24", "fd00::9/64"])
  const file = join(node.dir, "log")
  firewall.allow(node.pod(), undefined, { env: { CNI_TS_LOG: file, CNI_TS_NETLINK: "1" } })
  const lines = readFileSync(file, "utf8").trimEnd().split("\n")
  const messages = lines.flatMap((line) => JSON.parse(line).netlink ?? [])
  const sent = messages.filter(({ direction, type }) => direction === "sent" && !/_GET|_BATCH_/.test(type))
  expect(sent.map(({ type }) => type)).toEqual(Array(4).fill("NFT_MSG_NEWRULE"))
})
