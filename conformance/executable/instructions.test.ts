import { afterAll, describe, expect, test } from "vitest"
import { countInstructions, countPageFaults } from "../lab/instructions.ts"
import { Node } from "../lab/node.ts"
import { hostLocal, Network, V4 } from "../plugins/bridge/network.ts"

/**
 * Thousands of instructions outside of the kernel, of `bridge` with `host-local` for a pod beside another.
 *   npm run build && npx vitest run --project conformance conformance/executable/instructions.test.ts
 * prints what it counts in this form. Whoever makes a call cheaper lowers its number.
 */
const BUDGETS: Readonly<Record<string, Readonly<Record<Command, number>>>> = {
  IPv4: { VERSION: 73, ADD: 1925, CHECK: 1685, DEL: 1395 },
  "IPv4, ipMasq": { VERSION: 73, ADD: 2660, CHECK: 2235, DEL: 1565 },
}

/** Names differ from run to run, and with them digests: by some thousandth. */
const MARGIN = 1.05

type Command = (typeof COMMANDS)[number]
const COMMANDS = ["VERSION", "ADD", "CHECK", "DEL"] as const

describe("bridge keeps to its instructions", () => {
  const node = new Node()
  afterAll(() => node[Symbol.dispose]())

  test.each([
    ["IPv4", {}],
    ["IPv4, ipMasq", { ipMasq: true }],
  ])("%s", { timeout: 120_000 }, (name, keys) => {
    const ipam = hostLocal(node, [V4])
    const network = new Network(node, {
      name: name.replaceAll(/\W+/g, "-"),
      bridge: name.slice(-4),
      isDefaultGateway: true,
      ipam,
      ...keys,
    })
    network.connect(node.pod())
    const pod = node.pod()
    const counted: Partial<Record<Command, number>> = {}
    let prevResult: object | undefined
    for (const command of COMMANDS) {
      const config = { ...network.config, ...(prevResult && { prevResult }) }
      const { outcome, instructions } = countInstructions(node, "bridge", { command, netns: pod, config })
      expect(outcome, command).toMatchObject({ exitCode: 0, stderr: "" })
      if (command === "ADD") prevResult = outcome.result
      counted[command] = Math.round(instructions / 1000)
    }
    console.log(
      `${JSON.stringify(name)}: ${JSON.stringify(counted)
        .replaceAll('"', "")
        .replaceAll(/([:,{])(?=\w)/g, "$1 ")}`,
    )
    for (const command of COMMANDS)
      expect(counted[command], command).toBeLessThanOrEqual((BUDGETS[name]?.[command] ?? 0) * MARGIN)
  })
})

/** A touched page is copied from the image, or cleared, by the kernel: some hundreds of nanoseconds. */
test("VERSION and ADD of bridge touch few pages of memory", () => {
  using node = new Node()
  const network = new Network(node, { bridge: "cni0", isDefaultGateway: true, ipam: hostLocal(node, [V4]) })
  const count = (command: string) =>
    countPageFaults(node, "bridge", { command, netns: node.pod(), config: network.config })
  expect(count("VERSION")).toBeLessThan(70)
  expect(count("ADD")).toBeLessThan(115)
})
