import { expect, test } from "vitest"
import { expectBudgets } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { hostDevice, MAC, onLan, plugInDevice } from "./network.ts"

test("host-device keeps to its budgets: one request moves, renames and sets up", () => {
  using node = new Node()
  plugInDevice(node)
  expectBudgets(hostDevice(node), { netns: node.pod() }, [
    ["ADD", 3, 29],
    ["CHECK", 1, 26],
    ["DEL", 5, 31],
    ["DEL", 3, 28],
  ])
})

test("host-device with host-local keeps to its budgets", () => {
  using node = new Node()
  plugInDevice(node)
  expectBudgets(onLan(node), { netns: node.pod() }, [
    ["ADD", 5, 112],
    ["CHECK", 3, 44],
  ])
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
