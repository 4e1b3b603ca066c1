import { test } from "vitest"
import { expectSteps, type Step } from "../../lab/budget.ts"
import { Node } from "../../lab/node.ts"
import { type Config, Portmap, resultOf, tcp } from "./network.ts"

const BUDGETS: readonly (readonly [string, readonly string[], Config, readonly Step[]])[] = [
  [
    "IPv4 by nftables",
    ["10.1.0.2/24"],
    { backend: "nftables" },
    [
      ["ADD", 8, 38],
      ["ADD", 23, 77],
      ["CHECK", 7, 28],
      ["DEL", 15, 51],
      ["DEL", 12, 44],
    ],
  ],
  [
    "dual stack, without a backend",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: undefined },
    [
      ["ADD", 14, 53],
      ["ADD", 40, 121],
      ["CHECK", 13, 43],
      ["DEL", 16, 54],
      ["DEL", 12, 44],
    ],
  ],
  [
    "IPv4 by iptables",
    ["10.1.0.2/24"],
    { backend: "iptables" },
    [
      ["ADD", 13, 58],
      ["ADD", 13, 59],
      ["CHECK", 9, 36],
      ["DEL", 14, 48],
      ["DEL", 10, 38],
    ],
  ],
  [
    "dual stack by iptables",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "iptables" },
    [
      ["ADD", 21, 81],
      ["ADD", 21, 83],
      ["CHECK", 18, 61],
      ["DEL", 17, 56],
      ["DEL", 10, 38],
    ],
  ],
]

test.each(BUDGETS)("%s keeps to its budgets, and no process is started", (_, addresses, config, steps) => {
  using node = new Node()
  const pod = node.pod()
  const portmap = new Portmap(node, config)
  portmap.map(node.pod(), [tcp(9090)], ["10.1.0.9/24", "fd00::9/64"]) // the node's first makes the chains
  const told = { prevResult: resultOf(pod, addresses) }
  expectSteps(steps, (command) => node.trace("portmap", portmap.call(command, pod, { ports: [tcp(80)], config: told })))
})
