import { spawn } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { closeSync, openSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Machine } from "../../lab/machine.ts"
import type { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { HERE } from "../place.ts"
import { eventually } from "./kubelet.ts"
import { type Program, program } from "./programs.ts"

const API = "https://127.0.0.1:6443"
const ETCD = "http://127.0.0.1:2379"

/** The only user, who may do everything. */
const TOKEN = "admin-of-this-test"
const USERS = `${TOKEN},admin,admin,system:masters\n`

/** An object as the API server answers; or a Status that says why not. */
// biome-ignore lint/suspicious/noExplicitAny: every kind has its own shape, which the tests look into
export type Answer = any

/** etcd, and kube-apiserver, controller manager and scheduler 1.34, beside a node, on its network. */
export class ControlPlane implements AsyncDisposable {
  readonly #node: Node
  readonly #machine: Machine

  private constructor(node: Node, machine: Machine) {
    this.#node = node
    this.#machine = machine
  }

  static async start(node: Node): Promise<ControlPlane> {
    const plane = new ControlPlane(node, await Machine.start(node))
    try {
      plane.#spawn("etcd", "--data-dir=/run/etcd", `--listen-client-urls=${ETCD}`, `--advertise-client-urls=${ETCD}`)
      plane.#startApiServer()
      await eventually(() => plane.#curl("-f", `${API}/readyz`))
      await eventually(() => plane.get("/api/v1/namespaces/kube-system"))
      const kubeconfig = `--kubeconfig=${plane.#write("kubeconfig", plane.kubeconfig())}`
      plane.#spawn("kube-controller-manager", kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1")
      plane.#spawn("kube-scheduler", kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1")
    } catch (error) {
      await plane[Symbol.asyncDispose]()
      throw error
    }
    return plane
  }

  #startApiServer(): void {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    const secret = this.#write("sa.key", `${privateKey.export({ type: "pkcs1", format: "pem" })}`)
    const known = this.#write("sa.pub", `${publicKey.export({ type: "spki", format: "pem" })}`)
    this.#spawn(
      "kube-apiserver",
      `--etcd-servers=${ETCD}`,
      "--service-cluster-ip-range=10.96.0.0/16",
      "--service-account-issuer=https://cluster.test",
      `--service-account-key-file=${known}`,
      `--service-account-signing-key-file=${secret}`,
      `--token-auth-file=${this.#write("tokens.csv", USERS)}`,
      "--authorization-mode=AlwaysAllow",
      "--cert-dir=/run/certs",
      "--bind-address=127.0.0.1",
      `--advertise-address=${HERE.ipv4}`,
      "--kubelet-preferred-address-types=InternalIP", // nobody knows the node's name
      "--disable-admission-plugins=ServiceAccount", // nobody makes the accounts
    )
  }

  #write(name: string, text: string): string {
    const path = join(this.#node.dir, name)
    writeFileSync(path, text)
    return path
  }

  #spawn(name: Program, ...options: string[]): void {
    const log = openSync(join(this.#node.dir, `${name}.log`), "a")
    const [enter = "", ...args] = this.#machine.inside([program(name), ...options])
    spawn(enter, args, { stdio: ["ignore", log, log] })
    closeSync(log)
  }

  #curl(...args: string[]): string {
    return output(this.#node.inside(["curl", "-sSk", "-H", `Authorization: Bearer ${TOKEN}`, ...args]))
  }

  /** The configuration of who asks the API server, such as the kubelet, in its JSON. */
  kubeconfig(): string {
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "cluster", cluster: { server: API, "insecure-skip-tls-verify": true } }],
      users: [{ name: "admin", user: { token: TOKEN } }],
      contexts: [{ name: "context", context: { cluster: "cluster", user: "admin" } }],
      "current-context": "context",
    })
  }

  /** Returns an object; throws if there is none. */
  get(path: string): Answer {
    return JSON.parse(this.#curl("-f", `${API}${path}`))
  }

  /** Has an object made, and returns it as the API server completes it, or what it says against it. The body is YAML or JSON. */
  post(path: string, body: string): Answer {
    return JSON.parse(this.#curl("-H", "Content-Type: application/yaml", "--data-binary", body, `${API}${path}`))
  }

  delete(path: string): void {
    this.#curl("-f", "-X", "DELETE", `${API}${path}`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#machine[Symbol.asyncDispose]()
  }
}
