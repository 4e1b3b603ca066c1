import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Namespace } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { failing, Network, under } from "./network.ts"

const FIVE = { subnet: "10.1.2.0/29" }

let made = 0

/** A process that stands by until it is disposed. */
class Holder implements AsyncDisposable {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(...argv: string[]): Promise<Holder> {
    const [program = "", ...args] = argv
    const child = spawn(program, [...args, "sh", "-c", "echo; exec cat"], { stdio: ["pipe", "pipe", "inherit"] })
    await once(child.stdout, "data")
    return new Holder(child)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "close")
    this.#child.stdin?.end()
    await ended
  }
}

/** A namespace that a test unmounts itself. */
function namespaceOf(node: Node): Namespace {
  return new Namespace(`${node.name}-doubt${++made}`)
}

const again = (node: Node, network: Network, argv: readonly string[] = []) =>
  under(node, network.call("ADD", "a", { netns: node.pod().path }), argv)

const HELD = { exitCode: 1, error: { code: 102 } }

describe("in doubt a lease stays:", () => {
  test.each(["EACCES", "EPERM", "EMFILE", "ENOMEM", "EIO"])(
    "one of a pod whose process cannot be examined (%s)",
    async (error) => {
      using node = new Node()
      const network = new Network(node, FIVE)
      const namespace = namespaceOf(node)
      network.lease("a", { netns: namespace.path })
      {
        await using pod = await Holder.start("nsenter", `--net=${namespace.path}`)
        namespace[Symbol.dispose]()
        for (const [path, call] of [
          [`/proc/${pod.pid}/task`, "openat"],
          [`/proc/${pod.pid}/task`, "getdents64"],
          [`/proc/${pod.pid}/task/${pod.pid}/ns/net`, "statx"],
          ["/proc", "openat"],
          ["/proc", "getdents64"],
          ["/proc/self/mountinfo", "openat"],
          ["/proc/self/mountinfo", "read"],
        ] as const) {
          expect(again(node, network, failing(path, call, error)), `${call} ${path}`).toMatchObject(HELD)
        }
      }
      expect(again(node, network).exitCode).toBe(0)
    },
  )

  test("one of a pod whose processes are hidden, as by hidepid=2 without CAP_SYS_PTRACE", async () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const namespace = namespaceOf(node)
    const hides = 'mount -t proc -o hidepid=2,gid=65534 proc /proc && exec "$@"'
    await using hidden = await Holder.start("unshare", "-m", "sh", "-c", hides, "sh")
    const there = ["nsenter", "-t", `${hidden.pid}`, "-m"]
    const blind = [...there, "setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    expect(under(node, network.call("ADD", "a", { netns: namespace.path }), there).exitCode).toBe(0)
    {
      await using _pod = await Holder.start("nsenter", `--net=${namespace.path}`)
      output([...there, "umount", namespace.path])
      namespace[Symbol.dispose]()
      expect(again(node, network, blind)).toMatchObject(HELD)
      expect(again(node, network, there)).toMatchObject(HELD)
    }
    expect(again(node, network, blind)).toMatchObject(HELD)
    output([...there, "umount", "/proc"])
    expect(again(node, network, there).exitCode).toBe(0)
  })

  test("one whose namespace's inode number a living pod has, unless its cookie tells them apart", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const namespace = namespaceOf(node)
    const { ino } = statSync(namespace.path)
    network.lease("a", { netns: namespace.path })
    namespace[Symbol.dispose]()
    const living = statSync(node.pod().path).ino
    const [part = ""] = readdirSync(network.index).map((name) => join(network.index, name))
    const noted = readFileSync(part, "utf8")
    expect(noted).toContain(` ${ino}#`)
    writeFileSync(part, noted.replace(` ${ino}#`, ` ${living}#`)) // as if it had had that number
    const confined = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    expect(again(node, network, confined)).toMatchObject(HELD)
    expect(again(node, network).exitCode).toBe(0)
  })

  test("one of a namespace that was mounted anew elsewhere", async () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const namespace = namespaceOf(node)
    const elsewhere = join(node.dir, "elsewhere")
    writeFileSync(elsewhere, "")
    network.lease("a", { netns: namespace.path })
    {
      await using pod = await Holder.start("nsenter", `--net=${namespace.path}`)
      namespace[Symbol.dispose]()
      output(["mount", "--bind", `/proc/${pod.pid}/ns/net`, elsewhere])
    }
    try {
      expect(again(node, network)).toMatchObject(HELD)
    } finally {
      output(["umount", elsewhere])
    }
    expect(again(node, network).exitCode).toBe(0)
  })

  test("one of a namespace that is mounted where another process lives, /proc/PID/root/run/netns/x", async () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const namespace = namespaceOf(node)
    await using other = await Holder.start("unshare", "-m")
    network.lease("a", { netns: `/proc/${other.pid}/root${namespace.path}` })
    namespace[Symbol.dispose]()
    expect(again(node, network)).toMatchObject(HELD)
  })
})
