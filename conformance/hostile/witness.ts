import { CLIENT_PROGRAM, Echo } from "../lab/echo.ts"
import type { Described, Namespace } from "../lab/namespace.ts"
import type { Pod } from "../lab/node.ts"
import { runAsync } from "../lab/run.ts"
import { Attachment, type Wish } from "./attachment.ts"
import type { Shared } from "./networks.ts"
import type { World } from "./world.ts"

/** The node as the client outside knows it. */
export const NODE = { 4: "192.168.77.1", 6: "fd00:77::1" }
const CLIENT = { 4: "192.168.77.9", 6: "fd00:77::9" }

/** Far above what an answer takes, so that only what is lost is missed. */
const ANSWER_TIMEOUT_SECONDS = "20"

const LIMITS = { ingressRate: 400_000_000, ingressBurst: 40_000_000, egressRate: 400_000_000, egressBurst: 40_000_000 }

/** A pod that nobody may harm: it passes CHECK, it is reached from outside, and it reaches who is outside. */
export class Witness implements Disposable {
  readonly pod: Pod
  readonly wish: Wish
  readonly attachment: Attachment
  readonly hostPort: number
  readonly name: Shared
  readonly #world: World
  #server: Echo | undefined

  constructor(world: World, name: Shared, hostPort: number) {
    this.#world = world
    this.name = name
    this.hostPort = hostPort
    this.pod = world.node.pod()
    const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }]
    const { path, containerId } = this.pod
    this.wish = { path, containerId, capabilityArgs: { portMappings, bandwidth: LIMITS } }
    this.attachment = new Attachment(world, world.networks[name], this.wish)
  }

  async connect(): Promise<void> {
    if (!(await this.attachment.add())) throw new Error(this.#world.chronicle.summary())
    this.#server = new Echo(this.pod, "tcp", 80, this.name)
  }

  /** Its addresses without prefixes, IPv4's first. */
  get addresses(): string[] {
    return this.attachment.result?.ips?.map(({ address }) => address.replace(/\/.*/, "")) ?? []
  }

  /** The host end of its veth, and its own. */
  get links(): { readonly host: Described | undefined; readonly mac: string } {
    const [eth0] = this.pod.ip("link", "show", "eth0")
    const host = this.#world.node.ip("link", "show").find(({ ifindex }) => ifindex === eth0?.link_index)
    return { host, mac: `${eth0?.address}` }
  }

  /** Fails unless all is as it should be. */
  async testify(): Promise<void> {
    const { chronicle } = this.#world
    if (!(await this.attachment.check())) chronicle.fail(`CHECK of witness ${this.name} failed`)
    await this.#world.gate.shared(() => this.#carries())
  }

  /** Fails unless it reaches the client outside; its bridge knows it again. */
  async speak(): Promise<void> {
    await this.#pings(this.pod, CLIENT[4])
    if (this.#world.dualStack) await this.#pings(this.pod, CLIENT[6])
  }

  async #carries(): Promise<void> {
    const { client, node, dualStack } = this.#world
    await this.speak()
    const families = dualStack ? ([4, 6] as const) : ([4] as const)
    for (const [index, family] of families.entries()) {
      const address = this.addresses[index] ?? ""
      await this.#pings(client, address)
      await this.#pings(node, address)
      await this.#answers(NODE[family], `${this.name} hears ${CLIENT[family]}`)
    }
  }

  async #pings(from: Namespace, address: string): Promise<void> {
    const argv = ["ping", "-n", "-q", "-c", "1", "-W", ANSWER_TIMEOUT_SECONDS, address]
    const { exitCode } = await runAsync(from.inside(argv))
    if (exitCode !== 0) this.#world.chronicle.fail(`witness ${this.name}: no echo from ${address} to ${from.name}`)
  }

  async #answers(host: string, expected: string): Promise<void> {
    const argv = ["perl", "-e", CLIENT_PROGRAM, "tcp", host, `${this.hostPort}`, "0", ANSWER_TIMEOUT_SECONDS]
    const { stdout } = await runAsync(this.#world.client.inside(argv))
    if (stdout === expected) return
    this.#world.chronicle.fail(`witness ${this.name}: port ${this.hostPort} of ${host} answers "${stdout}"`)
  }

  [Symbol.dispose](): void {
    this.#server?.[Symbol.dispose]()
  }
}
