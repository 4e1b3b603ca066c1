import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { expectSteps, type Step } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { resultOf } from "../portmap/network.ts"
import { type Config, Firewall, POLICIES } from "./network.ts"

const DEL: readonly Step[] = [
  ["DEL", 5, 24],
  ["DEL", 4, 22],
]

const BUDGETS: readonly (readonly [string, readonly string[], Config, readonly Step[]])[] = [
  ["IPv4", ["10.1.0.2/24"], {}, [["ADD", 4, 29], ["ADD", 3, 27], ["CHECK", 2, 17], ...DEL]],
  ["dual stack", ["10.1.0.2/24", "fd00::2/64"], {}, [["ADD", 6, 35], ["ADD", 5, 33], ["CHECK", 4, 23], ...DEL]],
  [
    "dual stack, same-bridge",
    ["10.1.0.2/24", "fd00::2/64"],
    { ingressPolicy: "same-bridge" },
    [["ADD", 10, 47], ["ADD", 9, 45], ["CHECK", 8, 35], ...DEL],
  ],
  [
    "dual stack in the table of our own",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "nftables" },
    [
      ["ADD", 7, 35],
      ["ADD", 7, 35],
      ["CHECK", 2, 18],
      ["DEL", 6, 25],
      ["DEL", 4, 21],
    ],
  ],
  [
    "dual stack where no backend is named, same-bridge",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "", ingressPolicy: "same-bridge" },
    [
      ["ADD", 8, 40],
      ["ADD", 8, 40],
      ["CHECK", 6, 28],
      ["DEL", 6, 26],
      ["DEL", 4, 22],
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
  // The process knows its own network namespace by a socket for routes.
  const sockets = named("socket").filter(({ args }) => !args.includes("NETLINK_ROUTE"))
  expect([named("sendto").length, named("connect").length, sockets.length]).toEqual([8, 0, 1])
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
