import fc from "fast-check"
import { expect, test } from "vitest"
import type { Outcome } from "../../lab/call.ts"
import { Node } from "../../lab/node.ts"
import { damagedJson, damagedText } from "./damage.ts"
import { argumentLists, configs } from "./samples.ts"

/** As in fuzz.test.ts: a budget, and as long as anybody wants by hand. */
const SECONDS = Number(process.env["CNITS_FUZZ_SECONDS"] ?? 12)
const timeout = SECONDS * 2000 + 60_000

const calls = fc.record({
  plugin: fc.constantFrom(
    "bridge",
    "ptp",
    "macvlan",
    "host-device",
    "ipvlan",
    "vlan",
    "tap",
    "dummy",
    "vrf",
    "portmap",
    "bandwidth",
    "firewall",
    "host-local",
    "static",
    "loopback",
    "sbr",
    "tuning",
  ),
  command: fc.constantFrom("ADD", "DEL", "CHECK", "GC", "STATUS"),
  args: fc.oneof(fc.constant("IgnoreUnknown=1"), damagedText(argumentLists)),
  stdin: damagedJson(configs),
})

test("whatever it is called with, an executable ends soon, with one document or none", { timeout }, async () => {
  using node = new Node()
  const pod = node.pod()
  const end = performance.now() + SECONDS * 1000
  let [tried, refused] = [0, 0]
  while (performance.now() < end) {
    const property = fc.asyncProperty(calls, async ({ plugin, args, stdin, ...call }) => {
      // The bus of this machine leads to its own firewalld, if it has one.
      const env = { CNI_ARGS: args.replaceAll("\0", ""), DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${node.dir}/bus` }
      const asked = { ...call, netns: pod, stdin: confined(stdin, node), env, ownVarLib: true }
      const outcome = await node.callAsync(plugin, asked)
      expectOneAnswer(call.command, outcome)
      tried++
      if (outcome.exitCode !== 0) refused++
    })
    await fc.assert(property, { numRuns: 20, endOnFailure: true })
  }
  console.log(`the executable: ${tried} calls, ${refused} refused, none without one answer`)
  expect(tried).toBeGreaterThan(refused)
})

/** Paths lead into the node's directory: what runs here runs as root. */
function confined(stdin: string, node: Node): string {
  return stdin.replaceAll("..", "").replace(/"\/[^"]*"/g, JSON.stringify(`${node.dir}/data`))
}

function expectOneAnswer(command: string, { exitCode, result, error, stdout, stderr }: Outcome): void {
  if (exitCode === 0) {
    if (command === "ADD") expect(result).toEqual(expect.objectContaining({ cniVersion: expect.any(String) }))
    else expect(stdout).toBe("")
  } else {
    expect(exitCode).toBe(1)
    expect(error).toMatchObject({ code: expect.any(Number), msg: expect.stringMatching(/./) })
    expect(error?.code, "a fault of ours").not.toBe(999)
  }
  expect(stderr).not.toMatch(/\n {4}at /)
}
