import { expect, test } from "vitest"
import { expectBudget } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { hostDevice, MAC, onLan, plugInDevice } from "./network.ts"

test("host-device keeps to its budgets: one request moves, renames and sets up", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  const { config } = hostDevice(node)
  const ask = (command: string, more: object = {}) =>
    node.trace("host-device", { command, netns: pod, config: { ...config, ...more } })
  const added = ask("ADD")
  expectBudget(added, { requests: 3, systemCalls: 29 })
  expectBudget(ask("CHECK", { prevResult: added.outcome.result }), { requests: 1, systemCalls: 26 })
  expectBudget(ask("DEL"), { requests: 5, systemCalls: 31 })
  expectBudget(ask("DEL"), { requests: 3, systemCalls: 28 })
})

test("host-device with host-local keeps to its budgets", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  const { config } = onLan(node)
  const ask = (command: string, more: object = {}) =>
    node.trace("host-device", { command, netns: pod, config: { ...config, ...more } })
  const added = ask("ADD")
  expectBudget(added, { requests: 6, systemCalls: 116 })
  expectBudget(ask("CHECK", { prevResult: added.outcome.result }), { requests: 3, systemCalls: 44 })
})

test("a device is found by its MAC address with one list, however many links there are", () => {
  using node = new Node()
  plugInDevice(node)
  for (let number = 0; number < 100; number++) node.ip("link", "add", `v${number}`, "type", "veth")
  const pod = node.pod()
  const { config } = hostDevice(node, { device: "", hwaddr: MAC })
  const { outcome, calls } = node.trace("host-device", { command: "ADD", netns: pod, config })
  expect(outcome.exitCode).toBe(0)
  expect(calls.filter(({ name }) => name === "sendto")).toHaveLength(3)
})
