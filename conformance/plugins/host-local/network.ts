import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Call, environment, type Outcome, outcome, stdin } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import type { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"

/** The part of a call that a test says; the rest is what a runtime would send. */
export type Asked = Pick<Call, "ifname" | "args" | "netns" | "implementation"> & { readonly config?: object }

/** A network whose leases lie in the node's directory, and the calls a runtime makes for it. */
export class Network {
  readonly node: Node
  readonly directory: string
  readonly index: string
  readonly config: object

  constructor(node: Node, ipam: object, more: object = {}) {
    const dataDir = join(node.dir, "leases")
    this.node = node
    this.directory = join(dataDir, "net")
    this.index = join(dataDir, ".cni-ts/net")
    this.config = {
      cniVersion: "1.1.0",
      name: "net",
      type: "x",
      ipam: { type: "host-local", dataDir, ...ipam },
      ...more,
    }
  }

  add(containerId: string, asked: Asked = {}): Outcome {
    return this.node.call("host-local", this.call("ADD", containerId, asked))
  }

  del(containerId: string, asked: Asked = {}): Outcome {
    return this.node.call("host-local", this.call("DEL", containerId, asked))
  }

  check(containerId: string, asked: Asked = {}): Outcome {
    return this.node.call("host-local", this.call("CHECK", containerId, asked))
  }

  gc(valid: readonly { containerID: string; ifname: string }[]): Outcome {
    return this.node.call("host-local", this.call("GC", "", { config: { "cni.dev/valid-attachments": valid } }))
  }

  status(): Outcome {
    return this.node.call("host-local", this.call("STATUS", ""))
  }

  /** The address ADD leased, without prefix length. */
  lease(containerId: string, asked: Asked = {}): string {
    const { result, stdout } = this.add(containerId, asked)
    const [ip] = result?.ips ?? []
    if (!ip) throw new Error(`no address in ${stdout}`)
    return ip.address.replace(/\/.*/, "")
  }

  call(command: string, containerId: string, { config, ...asked }: Asked = {}): Call {
    return { command, containerId, netns: "/run/netns/none", config: { ...this.config, ...config }, ...asked }
  }

  /** Every file of the network by name: mode and content. */
  files(): Record<string, string> {
    if (!existsSync(this.directory)) return {}
    const names = readdirSync(this.directory).sort()
    return Object.fromEntries(names.map((name) => [name, this.#describe(join(this.directory, name))]))
  }

  /** The leased addresses and their files' content. */
  leases(): Record<string, string> {
    const files = Object.entries(this.files()).filter(([name]) => /^[0-9a-f:.]+$/.test(name))
    return Object.fromEntries(files.map(([name, text]) => [name, text.replace(/^\d+ /, "")]))
  }

  /** Puts a file into the network's directory, as somebody else would. */
  put(name: string, content: string): void {
    mkdirSync(this.directory, { recursive: true })
    writeFileSync(join(this.directory, name), content, { mode: 0o600 })
  }

  #describe(path: string): string {
    const status = lstatSync(path)
    const mode = (status.mode & 0o7777).toString(8)
    return status.isFile() ? `${mode} ${readFileSync(path, "utf8")}` : mode
  }
}

/** Runs a call under another program: `under(call, ["strace", ...])`. */
export function under(node: Node, call: Call, argv: readonly string[]): Outcome {
  const program = join(binDirectory(call.implementation), "host-local")
  return outcome(run(node.inside([...argv, program]), { env: environment(call), stdin: stdin(call) }))
}

/** A program to run a call under (`under`): every use of the system call on that very path fails. */
export function failing(path: string, call: string, error: string): string[] {
  return ["strace", "-qq", "-o", "/dev/null", "-P", path, "-e", `trace=${call}`, "-e", `inject=${call}:error=${error}`]
}

export const implementations: readonly Implementation[] = ["ours", "reference"]
