import { describe, expect, test } from "vitest"
import { breachesAmong, breachesOf } from "./arrows.ts"

const importing = (target: string) => `import { x } from "${target}"\n`
const rules = (file: string, text: string) => breachesOf(file, text).map(({ rule }) => rule)

describe("arrows between layers", () => {
  test.each([
    ["plugins/bridge/add.ts", "../../lib/cni/result.ts"],
    ["plugins/bridge/add.ts", "../../lib/ip/mac.ts"],
    ["plugins/bridge/add.ts", "./config.ts"],
    ["plugins/registry.ts", "./bridge/plugin.ts"],
    ["plugins/registry.ts", "../ipam/host-local/plugin.ts"],
    ["plugins/main.ts", "../lib/cni/run.ts"],
    ["ipam/host-local/add.ts", "../../lib/sys/file.ts"],
    ["docs/example-plugin/plugin.ts", "./add.ts"],
    ["docs/example-plugin/plugin.ts", "../../lib/attachment/chained-plugin.ts"],
    ["lib/attachment/veth.ts", "../net/stack.ts"],
    ["lib/cni/delegate.ts", "../net/undo.ts"],
    ["lib/netlink/route/link.ts", "../attribute.ts"],
    ["lib/ip/mac.ts", "../sys/host.ts"],
  ])("%s may import %s", (file, target) => {
    expect(rules(file, importing(target))).toEqual([])
  })

  test.each([
    ["lib/cni/run.ts", "../../plugins/registry.ts", "above"],
    ["lib/net/stack.ts", "../cni/errors.ts", "above"],
    ["lib/cni/run.ts", "../net/stack.ts", "touches no kernel"],
    ["lib/attachment/veth.ts", "../cni/run.ts", "only plugins/main.ts"],
    ["plugins/bridge/plugin.ts", "../../lib/cni/run.ts", "only plugins/main.ts"],
    ["lib/sys/errno.ts", "../ip/mac.ts", "above"],
    ["plugins/bridge/add.ts", "../../ipam/host-local/plugin.ts", "neither"],
    ["ipam/host-local/add.ts", "../../plugins/bridge/plugin.ts", "neither"],
    ["plugins/bridge/add.ts", "../ptp/config.ts", "plugins do not import each other"],
    ["plugins/bridge/add.ts", "../registry.ts", "plugins do not import each other"],
    ["ipam/static/add.ts", "../host-local/config.ts", "plugins do not import each other"],
    ["docs/example-plugin/add.ts", "../../plugins/ptp/config.ts", "plugins do not import each other"],
    ["docs/example-plugin/add.ts", "node:fs", "nothing but"],
    ["plugins/registry.ts", "../docs/example-plugin/plugin.ts", "not shipped"],
    ["lib/net/stack.ts", "../../build/executable.ts", "no layer"],
    ["lib/net/stack.ts", "../testing/fake-kernel.ts", "is no test"],
    ["lib/sys/file.ts", "./node/host.ts", "is no test"],
    ["plugins/main.ts", "../lib/sys/node/register.ts", "is no test"],
    ["lib/sys/file.ts", "node:fs", "nothing but"],
    ["plugins/bridge/add.ts", "koffi", "nothing but"],
    ["lib/ip/prefix.ts", "ip-cidr", "nothing but"],
  ])("%s may not import %s", (file, target, rule) => {
    expect(rules(file, importing(target))).toEqual([expect.stringContaining(rule)])
  })

  test("every form of import counts, and the line named is the one it stands on", () => {
    const text = [
      "/** A comment. */",
      "import type {",
      "  X,",
      '} from "../cni/result.ts"',
      'export { y } from "../cni/result.ts"',
      'const z = await import("../cni/result.ts")',
      'import "../cni/result.ts"',
      "",
    ].join("\n")
    expect(breachesOf("lib/net/stack.ts", text).map(({ line }) => line)).toEqual([4, 5, 6, 7])
  })

  test("an import in a comment is none", () => {
    expect(rules("lib/net/stack.ts", `// ${importing("node:fs")}/* ${importing("node:fs")} */`)).toEqual([])
  })

  test.each([
    "lib/net/stack.test.ts",
    "lib/testing/fake-kernel.ts",
    "lib/sys/node/plugin.ts",
    "build/executable.ts",
    "conformance/lab/node.ts",
  ])("%s is free to import what it needs", (file) => {
    expect(rules(file, importing("node:fs") + importing("../../plugins/registry.ts"))).toEqual([])
  })
})

/** Returns the breaches among files, of each of which its imports are given. */
function among(imports: Readonly<Record<string, readonly string[]>>) {
  const textOf = (targets: readonly string[]) =>
    targets.map((target) => `import type { X } from "${target}"\n`).join("")
  return breachesAmong(new Map(Object.entries(imports).map(([file, targets]) => [file, textOf(targets)])))
}

describe("imports in a circle", () => {
  test("are named by the import that closes it, though it be one of a type", () => {
    const files = { "lib/cni/a.ts": ["../ip/x.ts", "./b.ts"], "lib/cni/b.ts": ["./c.ts"], "lib/cni/c.ts": ["./a.ts"] }
    expect(among(files)).toEqual([
      {
        file: "lib/cni/c.ts",
        line: 1,
        rule: "imports in a circle: lib/cni/a.ts -> lib/cni/b.ts -> lib/cni/c.ts -> lib/cni/a.ts",
      },
    ])
  })

  test("are every one named, also of a file that imports itself", () => {
    const files = {
      "lib/ip/a.ts": ["./b.ts", "./a.ts"],
      "lib/ip/b.ts": ["./a.ts", "./c.ts"],
      "lib/ip/c.ts": ["./b.ts"],
    }
    expect(among(files).map(({ file, line }) => `${file}:${line}`)).toEqual([
      "lib/ip/b.ts:1",
      "lib/ip/c.ts:1",
      "lib/ip/a.ts:2",
    ])
  })

  test("are not two ways to one file", () => {
    expect(among({ "lib/ip/a.ts": ["./b.ts", "./c.ts"], "lib/ip/b.ts": ["./c.ts"], "lib/ip/c.ts": [] })).toEqual([])
  })

  test("are allowed where nothing of it becomes part of the executables", () => {
    expect(among({ "conformance/a.ts": ["./b.ts"], "conformance/b.ts": ["./a.ts"] })).toEqual([])
  })
})

describe("a file of lib/attachment or lib/net", () => {
  const plugins = {
    "plugins/main.ts": ["../lib/net/stack.ts", "./bridge/plugin.ts", "./ptp/plugin.ts"],
    "plugins/bridge/plugin.ts": ["./link.ts", "../../lib/attachment/veth.ts"],
    "plugins/bridge/link.ts": ["../../lib/net/vlan.ts"],
    "plugins/ptp/plugin.ts": ["../../lib/attachment/veth.ts"],
    "lib/attachment/veth.ts": ["../net/stack.ts"],
    "lib/net/vlan.ts": ["./port.ts", "../netlink/vlan.ts"],
    "lib/net/vlan.test.ts": ["./port.ts"],
  }

  test("that one plugin alone needs belongs to that plugin, and so does what only this file needs", () => {
    expect(among(plugins)).toEqual(
      ["lib/net/vlan.ts", "lib/net/port.ts"].map((file) => ({
        file,
        line: 1,
        rule: "plugins/bridge alone needs it: it belongs there",
      })),
    )
  })

  test("that two plugins need, each by a file of its own, stays", () => {
    expect(
      among({ ...plugins, "plugins/ptp/plugin.ts": ["./link.ts"], "plugins/ptp/link.ts": ["../../lib/net/vlan.ts"] }),
    ).toMatchObject([{ file: "lib/attachment/veth.ts" }, { file: "lib/net/stack.ts" }])
  })

  test("that the example alone needs besides belongs to the plugin all the same", () => {
    const files = { ...plugins, "docs/example-plugin/plugin.ts": ["../../lib/net/vlan.ts"] }
    expect(among(files).map(({ file }) => file)).toEqual(["lib/net/vlan.ts", "lib/net/port.ts"])
  })

  test("that an IPAM plugin and another one need stays", () => {
    const files = { ...plugins, "ipam/static/plugin.ts": ["../../lib/net/vlan.ts"] }
    expect(among(files)).toEqual([])
  })
})

describe("globals that are not ECMAScript's", () => {
  test.each([
    "process.env",
    "const { env } = process",
    "`${" + "process.pid}`",
    "[console]",
    "new TextEncoder()",
    "Buffer.from(x)",
    "console.log(x)",
    "performance.now()",
    "setTimeout(f, 0)",
    "Math.random()",
    "globalThis.Date",
  ])("%s is refused", (text) => {
    for (const file of ["lib/net/stack.ts", "lib/sys/process.ts", "plugins/main.ts"]) {
      expect(rules(file, `\n${text}\n`)).toEqual([expect.stringContaining("global")])
    }
    for (const file of ["lib/sys/node/process.ts", "scripts/x.ts"]) expect(rules(file, text)).toEqual([])
  })

  test("one module looks for the host", () => {
    expect(rules("lib/sys/host.ts", "export const host = globalThis.host\n")).toEqual([])
    expect(rules("lib/sys/host.ts", "process.exit()\n")).toHaveLength(1)
  })

  test.each([
    "// a process starts faster",
    '"console and process"',
    "`a process`",
    "subprocess.x",
    "child.process",
    "{ process: 1 }",
    "Math.max(1, 2)",
    "resetTimeout()",
  ])("%s is no use of them", (text) => {
    expect(rules("lib/net/stack.ts", text)).toEqual([])
  })
})

describe("every file", () => {
  test("of TypeScript ends by line 400", () => {
    expect(rules("lib/net/stack.ts", "\n".repeat(400))).toEqual([])
    expect(breachesOf("lib/net/stack.test.ts", "\n".repeat(401))).toEqual([
      { file: "lib/net/stack.test.ts", line: 401, rule: "401 lines, more than 400" },
    ])
  })
})
