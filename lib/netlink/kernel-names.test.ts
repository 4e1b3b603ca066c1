import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

const folder = fileURLToPath(new URL(".", import.meta.url))

const HEADERS = [
  ...[
    "fib_rules",
    "if_addr",
    "if_bridge",
    "if_link",
    "ip",
    "neighbour",
    "net_namespace",
    "netlink",
    "pkt_cls",
    "pkt_sched",
    "rtnetlink",
    "veth",
  ],
  ...[
    "tc_act/tc_mirred",
    "netfilter/nf_tables",
    "netfilter/nf_tables_compat",
    "netfilter/nfnetlink",
    "netfilter/nfnetlink_conntrack",
  ],
]

/** The entries of all attribute tables: `name: [number, kind, "KERNEL_NAME"]`. */
function declared(): (readonly [name: string, number: string])[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    /^(?!.*\.test).*\.ts$/.test(file),
  )
  const text = files.map((file) => readFileSync(join(folder, file), "utf8")).join("\n")
  const entries = text.matchAll(/: \[\s*(\d+),(?:(?!: \[)[\s\S])*?"([A-Z0-9_]+)",?\s*\]/g)
  return [...entries].map(([, number = "", name = ""]) => [name, number] as const)
}

test("attributes have the names and the numbers that they have in the kernel's header files", () => {
  const entries = declared()
  expect(entries.length).toBeGreaterThan(120)
  const includes = HEADERS.map((header) => `#include <linux/${header}.h>`)
  const claims = entries.map(([name, number]) => `_Static_assert(${name} == ${number}, "${name} is not ${number}");`)
  const source = ["#include <net/if.h>", ...includes, ...claims].join("\n")
  const compiled = spawnSync("gcc", ["-fsyntax-only", "-x", "c", "-"], { input: source, encoding: "utf8" })
  expect(compiled.stderr).toBe("")
})
