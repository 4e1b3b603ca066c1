import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { expectSteps, type Step } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { resultOf } from "../portmap/network.ts"
import { type Config, Firewall, POLICIES } from "./network.ts"

const DEL: readonly Step[] = [
  ["DEL", 5, 32],
  ["DEL", 4, 30],
]

const BUDGETS: readonly (readonly [string, readonly string[], Config, readonly Step[]])[] = [
  ["IPv4", ["10.1.0.2/24"], {}, [["ADD", 4, 36], ["ADD", 3, 34], ["CHECK", 2, 23], ...DEL]],
  ["dual stack", ["10.1.0.2/24", "fd00::2/64"], {}, [["ADD", 6, 42], ["ADD", 5, 40], ["CHECK", 4, 29], ...DEL]],
  [
    "dual stack, same-bridge",
    ["10.1.0.2/24", "fd00::2/64"],
    { ingressPolicy: "same-bridge" },
    [["ADD", 10, 54], ["ADD", 9, 52], ["CHECK", 8, 41], ...DEL],
  ],
  [
    "dual stack in the table of our own",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "nftables" },
    [
      ["ADD", 7, 42],
      ["ADD", 7, 42],
      ["CHECK", 2, 24],
      ["DEL", 6, 34],
      ["DEL", 4, 28],
    ],
  ],
  [
    "dual stack where no backend is named, same-bridge",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "", ingressPolicy: "same-bridge" },
    [
      ["ADD", 8, 46],
      ["ADD", 8, 46],
      ["CHECK", 6, 36],
      ["DEL", 6, 35],
      ["DEL", 4, 29],
    ],
  ],
]

test.each(BUDGETS)("%s keeps to its budgets, and no process is started", (_, addresses, config, steps) => {
  using node = new Node()
  const pod = node.pod()
  const firewall = new Firewall(node, config)
  firewall.allow(node.pod(), ["10.1.0.9/24", "fd00::9/64"]) // the node's first makes the chains
  const told = { prevResult: resultOf(pod, addresses) }
  expectSteps(steps, (command) => node.trace("firewall", firewall.call(command, pod, { config: told })))
})

test("a system bus on a node without firewalld costs a look at its socket and two at nf_tables: nobody connects", () => {
  using node = new Node()
  const firewall = new Firewall(node, { backend: "" }, "ours", { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${node.dir}` })
  firewall.allow(node.pod())
  const pod = node.pod()
  const call = firewall.call("ADD", pod, { config: { prevResult: resultOf(pod, ["10.1.0.3/24"]) } })
  const { calls, outcome } = node.trace("firewall", call)
  expect(outcome).toMatchObject({ exitCode: 0, stderr: "" })
  const named = (name: string) => calls.filter((one) => one.name === name)
  expect(named("statx").filter(({ args }) => args.includes(node.dir))).toHaveLength(1)
  expect([named("sendto").length, named("connect").length, named("socket").length]).toEqual([8, 0, 1])
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
