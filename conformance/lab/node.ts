import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Call, environment, type Outcome, outcome, stdin } from "./call.ts"
import { type CnitoolCall, cnitoolEnvironment, cnitoolProgram } from "./cnitool.ts"
import { binDirectory } from "./executables.ts"
import { Namespace } from "./namespace.ts"
import { type Finished, type Input, output, run, runAsync } from "./run.ts"
import { parseTrace, type Trace } from "./strace.ts"

/** Marks what belongs to this test run, so that leftovers.ts can tell it from what others made. */
const { CNITS_RUN = process.pid } = process.env

let nodesMade = 0

/** On links yet to come: the kernel, which takes one to two seconds to look for a duplicate of an IPv6 address, takes a tenth. */
const QUICK_DETECTION = `
echo 100 >/proc/sys/net/ipv6/neigh/default/retrans_time_ms
echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitation_delay`

/** The network namespace of a pod, with the container id its calls carry. */
export class Pod extends Namespace {
  readonly containerId: string

  constructor(name: string) {
    super(name)
    this.containerId = `container-of-${name}`
  }
}

/**
 * A machine of its own, as far as a plugin can tell: a network namespace that stands for the host's, pods, and
 * a directory for files. `using node = new Node()` removes all of it, whatever the test left behind.
 */
export class Node extends Namespace {
  /** For data directories and configuration; gone with the node. */
  readonly dir: string
  readonly #pods: Pod[] = []
  readonly #detection: "quick" | undefined

  /** Quick duplicate address detection, also in the pods, is for tests that are not about it and would wait for it. */
  constructor({ detection }: { readonly detection?: "quick" } = {}) {
    super(`cnits-${CNITS_RUN}-${process.pid}-${++nodesMade}`)
    this.dir = join(tmpdir(), this.name)
    mkdirSync(join(this.dir, "var-lib"), { recursive: true })
    this.ip("link", "set", "lo", "up")
    this.sysctl("net/ipv4/ip_forward", "0") // otherwise inherited from the machine
    this.#detection = detection
    this.#hasten(this)
  }

  get pods(): readonly Pod[] {
    return this.#pods
  }

  /** A new, empty pod: even its loopback interface is down. */
  pod(): Pod {
    const pod = new Pod(`${this.name}-pod${this.#pods.length + 1}`)
    this.#pods.push(pod)
    this.#hasten(pod)
    return pod
  }

  #hasten(namespace: Namespace): void {
    if (this.#detection === "quick") output(namespace.inside(["sh", "-c", QUICK_DETECTION]))
  }

  /** The pod dies, without a DEL. Returns when the kernel, which does so in its own time, has removed its links from the node. */
  lose(pod: Pod): void {
    const ends = new Set(pod.ip("link", "show").map(({ link_index: index }) => index))
    this.#pods.splice(this.#pods.indexOf(pod), 1)
    pod[Symbol.dispose]()
    for (let tries = 0; this.ip("link", "show").some(({ ifindex }) => ends.has(ifindex)); tries++) {
      if (tries === 200) throw new Error(`links of ${pod.name} are left on ${this.name}`)
      run(["sleep", "0.05"])
    }
  }

  /** Calls a plugin as a container runtime on this node does: its environment and its stdin, nothing else. */
  call(plugin: string, call: Call): Outcome {
    return outcome(run(this.#command(plugin, call), { env: environment(call), stdin: stdin(call) }))
  }

  /** As `call`, without waiting: for calls that have to overlap. */
  async callAsync(plugin: string, call: Call): Promise<Outcome> {
    return outcome(await runAsync(this.#command(plugin, call), { env: environment(call), stdin: stdin(call) }))
  }

  /** As `call`, under strace; `only` is a set for its `-e trace=`, process starts are always included. */
  trace(plugin: string, call: Call, only = "all"): Trace {
    const file = join(this.dir, "strace.out")
    const set = only === "all" ? only : `${only},execve,execveat,clone,clone3,?fork,?vfork`
    const strace = ["strace", "-f", "-qq", "-s", "256", "-o", file, "-e", `trace=${set}`]
    const [enter, program] = [this.inside(strace), join(binDirectory(call.implementation), plugin)]
    const finished = run([...enter, program], { env: environment(call), stdin: stdin(call) })
    return { outcome: outcome(finished), ...parseTrace(file) }
  }

  /** Runs cnitool on this node, with a /var/lib of the node's own: libcni's cache lives there. */
  cnitool(call: CnitoolCall): Finished {
    return run(...this.#cnitoolRun(call))
  }

  /** As `cnitool`, without waiting: for calls that have to overlap, and for many. */
  cnitoolAsync(call: CnitoolCall): Promise<Finished> {
    return runAsync(...this.#cnitoolRun(call))
  }

  #cnitoolRun(call: CnitoolCall): [argv: string[], input: Input] {
    const networks = join(this.dir, "net.d")
    mkdirSync(networks, { recursive: true })
    const [file, list] = [join(networks, `${call.network.name}.conflist`), JSON.stringify(call.network)]
    const isThere = existsSync(file) && readFileSync(file, "utf8") === list // and another call may be reading it
    if (!isThere) writeFileSync(file, list)
    return [this.inside(this.#withOwnVarLib(cnitoolProgram(call))), { env: cnitoolEnvironment(call, networks) }]
  }

  /** Fails if a process is still running on the node: no plugin may leave one. */
  override [Symbol.dispose](): void {
    const namespaces = [...this.#pods, this]
    const left = namespaces.flatMap((namespace) => namespace.processes())
    for (const pid of left) process.kill(pid, "SIGKILL")
    for (const pod of this.#pods) pod[Symbol.dispose]()
    super[Symbol.dispose]()
    rmSync(this.dir, { recursive: true, force: true })
    if (left.length > 0) throw new Error(`processes left running on ${this.name}: ${left.join(", ")}`)
  }

  #command(plugin: string, call: Call): string[] {
    const program = [join(binDirectory(call.implementation), plugin)]
    return this.inside(call.ownVarLib ? this.#withOwnVarLib(program) : program)
  }

  /** Only the program and what it starts see the other /var/lib. */
  #withOwnVarLib(argv: readonly string[]): string[] {
    const mount = 'mount --bind "$0" /var/lib && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, join(this.dir, "var-lib"), ...argv]
  }
}
