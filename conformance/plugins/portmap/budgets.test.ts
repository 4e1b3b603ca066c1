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
      ["ADD", 8, 42],
      ["ADD", 23, 88],
      ["CHECK", 8, 41],
      ["DEL", 15, 57],
      ["DEL", 12, 47],
    ],
  ],
  [
    "dual stack, without a backend",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: undefined },
    [
      ["ADD", 14, 60],
      ["ADD", 40, 141],
      ["CHECK", 15, 62],
      ["DEL", 16, 62],
      ["DEL", 12, 47],
    ],
  ],
  [
    "IPv4 by iptables",
    ["10.1.0.2/24"],
    { backend: "iptables" },
    [
      ["ADD", 13, 60],
      ["ADD", 13, 60],
      ["CHECK", 9, 42],
      ["DEL", 14, 50],
      ["DEL", 10, 39],
    ],
  ],
  [
    "dual stack by iptables",
    ["10.1.0.2/24", "fd00::2/64"],
    { backend: "iptables" },
    [
      ["ADD", 21, 84],
      ["ADD", 21, 84],
      ["CHECK", 18, 67],
      ["DEL", 17, 59],
      ["DEL", 10, 39],
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
