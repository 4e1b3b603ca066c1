import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, type Outcome, outcome } from "../lab/call.ts"
import { ControlGroup } from "../lab/control-group.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { type Config, settled } from "../plugins/bridge/network.ts"
import { PLUGINS } from "./every-plugin.ts"

const MIB = 1 << 20

interface Limit {
  /** Runs a program under the limit. */
  readonly launcher: (node: Node) => { readonly argv: readonly string[] } & Partial<Disposable>
  /** If every plugin does its work under it. */
  readonly isEnough: boolean
}

const ulimit = (option: string) => () => ({ argv: ["sh", "-c", `ulimit ${option}; exec "$@"`, "sh"] })

function group(limit: "memory" | "pids", most: number): Limit["launcher"] {
  return (node) => {
    const made = new ControlGroup(node.name, limit, most)
    return { argv: made.launcher(), [Symbol.dispose]: () => made[Symbol.dispose]() }
  }
}

const LIMITS: Readonly<Record<string, Limit>> = {
  "ulimit -s 64": { launcher: ulimit("-s 64"), isEnough: false },
  "ulimit -d 10000": { launcher: ulimit("-d 10000"), isEnough: true },
  "ulimit -v 100000": { launcher: ulimit("-v 100000"), isEnough: true },
  "ulimit -v 3800": { launcher: ulimit("-v 3800"), isEnough: false },
  "ulimit -n 4": { launcher: ulimit("-n 4"), isEnough: false },
  "ulimit -n 3": { launcher: ulimit("-n 3"), isEnough: false },
  "pids.max 1": { launcher: group("pids", 1), isEnough: true },
  "memory.max 4 MB": { launcher: group("memory", 4 * MIB), isEnough: true },
}

/** Calls the plugin, started by the program `argv`. */
function call(
  node: Node,
  plugin: string,
  command: string,
  input: { config: Config; pod: Pod; argv: readonly string[] },
) {
  const config = { cniVersion: "1.1.0", name: "net", type: plugin, ...input.config }
  const argv = node.inside([...input.argv, join(binDirectory(), plugin)])
  const env = environment({ command, netns: input.pod })
  return outcome(run(argv, { env, stdin: JSON.stringify(config) }))
}

/** Exit code 1 and one JSON error. */
function expectRefusal({ exitCode, stderr, error }: Outcome): void {
  expect([exitCode, stderr, error]).toEqual([1, "", { ...error, code: expect.any(Number), msg: expect.any(String) }])
}

describe.each(Object.entries(LIMITS))("under %s", (_, { launcher, isEnough }) => {
  test.each(Object.entries(PLUGINS))("%s does all, or says in one JSON error what it lacks", (plugin, configOf) => {
    using node = new Node()
    const pod = node.pod()
    const config = configOf(node, pod)
    const limited = launcher(node)
    try {
      const before = settled(node)
      const done = call(node, plugin, "ADD", { config, pod, argv: limited.argv })
      if (isEnough || done.exitCode === 0) expect(done).toMatchObject({ exitCode: 0, stderr: "" })
      else {
        expectRefusal(done)
        expect(settled(node)).toEqual(before)
      }
      const removed = call(node, plugin, "DEL", { config, pod, argv: limited.argv })
      if (isEnough || removed.exitCode === 0) expect(removed).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
      else expectRefusal(removed)
    } finally {
      limited[Symbol.dispose]?.()
    }
  })
})

describe("with stdout closed from the start", () => {
  test.each(Object.entries(PLUGINS))("%s exits with 1, says so on stderr and leaves nothing", (plugin, configOf) => {
    using node = new Node()
    const pod = node.pod()
    const config = configOf(node, pod)
    const argv = ["sh", "-c", 'exec "$@" >&-', "sh"]
    const ask = () => call(node, plugin, "ADD", { config, pod, argv })
    ask() // what stays from the first time on, as tables and the lock of the leases
    const before = settled(node)
    expect(ask()).toMatchObject({
      exitCode: 1,
      stdout: "",
      stderr: "cannot write stdout: EBADF (bad file descriptor)\n",
    })
    expect(settled(node)).toEqual(before)
  })
})
