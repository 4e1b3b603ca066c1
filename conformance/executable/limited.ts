import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { environment, type Outcome, outcome } from "../lab/call.ts"
import { ControlGroup } from "../lab/control-group.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import type { NodeSnapshot } from "../lab/snapshot.ts"
import { type Config, settled } from "../plugins/bridge/network.ts"

/** Makes what a plugin needs on the node, and returns what it is asked to do for the node's pod. */
export type Task = (node: Node, pod: Pod) => Config

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

const LIMITS = {
  "ulimit -s 64": { launcher: ulimit("-s 64"), isEnough: false },
  "ulimit -d 10000": { launcher: ulimit("-d 10000"), isEnough: true },
  "ulimit -v 100000": { launcher: ulimit("-v 100000"), isEnough: true },
  "ulimit -v 4200": { launcher: ulimit("-v 4200"), isEnough: false },
  "ulimit -n 4": { launcher: ulimit("-n 4"), isEnough: false },
  "ulimit -n 3": { launcher: ulimit("-n 3"), isEnough: false },
  "pids.max 1": { launcher: group("pids", 1), isEnough: true },
  "memory.max 4 MB": { launcher: group("memory", 4 * MIB), isEnough: true },
} satisfies Record<string, Limit>

type LimitName = keyof typeof LIMITS
const ALL = Object.keys(LIMITS) as LimitName[]

/** Tests what each plugin says under each limit, and without a stdout. They share the plugin's node. */
export function testUnderLimits(tasks: Readonly<Record<string, Task>>, names: readonly LimitName[] = ALL): void {
  describe.each(Object.entries(tasks))("%s", (plugin, task) => {
    let scene: Scene
    beforeAll(() => {
      scene = new Scene(plugin, task)
    })
    afterAll(() => scene[Symbol.dispose]())

    test.each(names)("under %s does all, or says in one JSON error what it lacks", (name) => {
      const limit: Limit = LIMITS[name]
      const limited = limit.launcher(scene.node)
      try {
        for (const command of ["ADD", "DEL"]) {
          const done = scene.call(command, limited.argv)
          if (limit.isEnough || done.exitCode === 0) expect(done).toMatchObject({ exitCode: 0, stderr: "" })
          else expectRefusal(done)
          if (command === "ADD" && done.exitCode !== 0) expect(settled(scene.node)).toEqual(scene.untouched)
        }
      } finally {
        limited[Symbol.dispose]?.()
        scene.call("DEL")
      }
    })

    test("with stdout closed from the start exits with 1, says so on stderr and leaves nothing", () => {
      const ask = () => scene.call("ADD", ["sh", "-c", 'exec "$@" >&-', "sh"])
      ask() // takes away also what DEL leaves on an interface that is about to go
      const before = settled(scene.node)
      expect(ask()).toMatchObject({
        exitCode: 1,
        stdout: "",
        stderr: "cannot write stdout: EBADF (bad file descriptor)\n",
      })
      expect(settled(scene.node)).toEqual(before)
    })
  })
}

/** A plugin's node, and the calls for its pod. */
class Scene implements Disposable {
  readonly node = new Node()
  readonly #plugin: string
  readonly #pod: Pod
  readonly #config: Config
  readonly untouched: NodeSnapshot

  constructor(plugin: string, task: Task) {
    this.#plugin = plugin
    this.#pod = this.node.pod()
    this.#config = { cniVersion: "1.1.0", name: "net", type: plugin, ...task(this.node, this.#pod) }
    // What stays from the first time on, as tables and the lock of the leases.
    for (const command of ["ADD", "DEL"]) expect(this.call(command)).toMatchObject({ exitCode: 0, stderr: "" })
    this.untouched = settled(this.node)
  }

  /** Calls the plugin, started by the program `argv`. */
  call(command: string, argv: readonly string[] = []): Outcome {
    const program = this.node.inside([...argv, join(binDirectory(), this.#plugin)])
    const env = environment({ command, netns: this.#pod })
    return outcome(run(program, { env, stdin: JSON.stringify(this.#config) }))
  }

  [Symbol.dispose](): void {
    this.node[Symbol.dispose]()
  }
}

/** Exit code 1 and one JSON error. */
function expectRefusal({ exitCode, stderr, error }: Outcome): void {
  expect([exitCode, stderr, error]).toEqual([1, "", { ...error, code: expect.any(Number), msg: expect.any(String) }])
}
