import { join } from "node:path"
import type { NetworkList } from "../../lab/cnitool.ts"
import type { Machine } from "../../lab/machine.ts"
import { BASH, output } from "../../lab/run.ts"
import { ROOT } from "../../systems/install/directories.ts"
import { type Place, PROGRAMS, write } from "../place.ts"
import { type Answer, ControlPlane } from "./control-plane.ts"
import { eventually, KubeletNode, NODE } from "./kubelet.ts"
import { program } from "./programs.ts"

/** A cluster of one node, and a user on it who has kubectl and the directory `deploy/`. */
export class Cluster implements AsyncDisposable {
  readonly kubelet: KubeletNode
  readonly plane: ControlPlane

  private constructor(kubelet: KubeletNode, plane: ControlPlane) {
    this.kubelet = kubelet
    this.plane = plane
  }

  /** Starts a cluster, with a network or none: then only pods with the node's own can run. */
  static async start(network: NetworkList | undefined, prepare: (place: Place) => void = () => {}): Promise<Cluster> {
    let plane: ControlPlane | undefined
    try {
      const kubelet = await KubeletNode.start(network, ["--kubeconfig=/root/.kube/config"], async (place) => {
        plane = await ControlPlane.start(place.node)
        equipUser(place.machine, plane)
        prepare(place)
      })
      return new Cluster(kubelet, plane as ControlPlane)
    } catch (error) {
      await plane?.[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Returns what commands print that a user types on the node; throws if one fails. */
  async type(commands: string): Promise<string> {
    const script = `set -e -o pipefail\ncd /root\n${commands}`
    const done = await this.kubelet.place.machine.runAsync([...BASH, script], { env: PROGRAMS })
    if (done.exitCode !== 0) throw new Error(`${commands}exited with ${done.exitCode}: ${done.stdout}${done.stderr}`)
    return done.stdout
  }

  /** Makes what a manifest says. */
  apply(manifest: string | object): void {
    const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest)
    const command = ["kubectl", "apply", "-f", "-"]
    output(this.kubelet.place.machine.inside(command), { env: PROGRAMS, stdin: text })
  }

  /** Returns objects as `kubectl get` has them. */
  get(...args: string[]): Answer {
    const command = ["kubectl", "get", ...args, "-o", "json"]
    return JSON.parse(output(this.kubelet.place.machine.inside(command), { env: PROGRAMS }))
  }

  /** Returns a pod as soon as it is ready. */
  readyPod(name: string): Promise<Answer> {
    return eventually(() => {
      const pod = this.get("pod", name)
      const conditions: { type: string; status: string }[] = pod.status.conditions ?? []
      if (!conditions.some(({ type, status }) => type === "Ready" && status === "True"))
        throw new Error(`${name}: ${JSON.stringify(pod.status.conditions)} ${this.events(name)}`)
      return pod
    })
  }

  /** Returns what was said about a pod so far. */
  events(name: string): string {
    const found: { message: string }[] = this.get("events", `--field-selector=involvedObject.name=${name}`).items
    return found.map(({ message }) => message).join("\n")
  }

  /** Returns whether the node is ready, as it says itself, and why. */
  readiness(): Answer {
    const conditions: { type: string }[] = this.get("node", NODE).status?.conditions ?? []
    return conditions.find(({ type }) => type === "Ready")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.plane[Symbol.asyncDispose]()
    await this.kubelet[Symbol.asyncDispose]()
  }
}

function equipUser(machine: Machine, plane: ControlPlane): void {
  write(machine, "/root/.kube/config", plane.kubeconfig())
  output(["cp", program("kubectl"), machine.path("/usr/bin/")])
  output(["cp", "-r", join(ROOT, "deploy"), machine.path("/root/")])
}
