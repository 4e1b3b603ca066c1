import { randomBytes, randomUUID } from "node:crypto"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Namespace } from "../../conformance/lab/namespace.ts"
import { output, run } from "../../conformance/lab/run.ts"

const BIN = fileURLToPath(new URL("../../dist/bin", import.meta.url))

/** A pod's sandbox as containerd makes it, under the names containerd gives it. */
export class Pod {
  readonly name: string
  readonly id = randomBytes(32).toString("hex")
  readonly namespace = new Namespace(`cni-${randomUUID()}`)
  readonly netns = `/var/run/netns/${this.namespace.name}`

  constructor(name: string) {
    this.name = name
  }

  /** What a shell in the pod would print. */
  shell(command: string): string {
    return output(this.namespace.inside(["sh", "-c", command])).trimEnd()
  }
}

/** One execution of a plugin, with what it was told and how it went. */
export interface Execution {
  readonly plugin: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /** From the start of the process to its end, in milliseconds. */
  readonly time: number
}

export interface Wish {
  readonly plugin: string
  readonly command: "ADD" | "CHECK" | "DEL"
  readonly ifname: string
  readonly config: object
  /** Sent as CNI_NETNS instead of the pod's: empty once the pod's namespace is gone. */
  readonly netns?: string
}

/** Executes a plugin with the environment and the stdin that containerd 1.6 was recorded with. */
export function execute(pod: Pod, { plugin, command, ifname, config, netns = pod.netns }: Wish): Execution {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.id,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.id};K8S_POD_UID=uid-${pod.name}`,
    CNI_PATH: BIN,
  }
  const inherited = {
    HOME: "/root",
    LD_LIBRARY_PATH: "/opt/containerd/lib:",
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    PWD: "/",
  }
  const stdin = JSON.stringify(config)
  const began = performance.now()
  const finished = run([join(BIN, plugin)], { env: { ...inherited, ...env }, stdin })
  return { plugin, env, stdin, time: performance.now() - began, ...finished }
}
