import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { CnitoolCall, NetworkList } from "../lab/cnitool.ts"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { BASH, type Finished, output, run } from "../lab/run.ts"

/**
 * Has the node's own directories where a node has them, for one program, and a kernel's log that is its own; the rest of /etc and /opt is empty.
 * The machine's containerd and what configures its network are none of the node's.
 */
const AT_HOME = `
set -e
mount --bind "$0/kmsg" /dev/kmsg
for program in /usr/bin/containerd /usr/local/bin/containerd; do
  [ ! -e $program ] || mount --bind /dev/null $program
done
for directory in /run/systemd/netif /run/NetworkManager; do
  [ ! -e $directory ] || mount -t tmpfs tmpfs $directory
done
mount --bind "$0/var-lib" /var/lib
mount -t tmpfs tmpfs /etc
mount -t tmpfs tmpfs /opt
mkdir -p /etc/cni/net.d /opt/cni/bin
mount --bind "$0/net.d" /etc/cni/net.d
mount --bind "$0/bin" /opt/cni/bin
exec "$@"`

/** The answer of `doctor -o json`. */
export interface Diagnosis {
  readonly exitCode: number
  readonly findings: readonly {
    readonly kind: string
    readonly about: string
    readonly problem: string
    readonly evidence: readonly string[]
    readonly cause?: string
    readonly mend: string
  }[]
  readonly unseen: readonly string[]
  readonly attachments: number
}

export interface Attaching {
  /** `NAMESPACE/NAME` of the pod. */
  readonly name?: string
  readonly capabilityArgs?: Readonly<Record<string, unknown>>
  readonly ifname?: string
  /** Ours unless given. */
  readonly implementation?: Implementation
}

/** A node with networks, plugins and pods that a runtime remembers, on which an operator runs `cni-ts`. */
export class OperatedNode extends Node {
  readonly networks = join(this.dir, "net.d")
  readonly plugins = join(this.dir, "bin")

  constructor() {
    super()
    mkdirSync(this.networks)
    writeFileSync(join(this.dir, "kmsg"), "")
    output(["cp", "-a", binDirectory(), this.plugins])
  }

  /** Gives the node a link to a router, with a default route. */
  uplink(address: string, router: string): void {
    const outside = this.pod()
    this.ip("link", "add", "eth0", "type", "veth", "peer", "name", "wire", "netns", outside.name)
    this.ip("address", "add", address, "dev", "eth0")
    this.ip("link", "set", "eth0", "up")
    outside.ip("link", "set", "wire", "up")
    outside.ip("address", "add", `${router}/24`, "dev", "wire")
    this.ip("route", "add", "default", "via", router)
  }

  /** Gives the node a network by its configuration file. */
  configure(list: NetworkList): void {
    writeFileSync(join(this.networks, `${list.name}.conflist`), JSON.stringify(list))
  }

  /** Attaches a new pod, as the kubelet's runtime does. */
  attach(network: NetworkList, wish: Attaching = {}): Pod {
    const pod = this.pod()
    this.attachTo(pod, network, wish)
    return pod
  }

  /** Attaches new pods, a few at a time. */
  async attachMany(network: NetworkList, wishes: readonly Attaching[]): Promise<void> {
    const rest = wishes.map((wish) => this.#addCall(this.pod(), network, wish))
    const work = async () => {
      for (let call = rest.pop(); call; call = rest.pop()) requireSuccess(await this.cnitoolAsync(call))
    }
    await Promise.all([work(), work(), work()])
  }

  /** Attaches a pod to a further network. */
  attachTo(pod: Pod, network: NetworkList, wish: Attaching = {}): void {
    requireSuccess(this.cnitool(this.#addCall(pod, network, wish)))
  }

  #addCall(pod: Pod, network: NetworkList, { name = "", ...call }: Attaching): CnitoolCall {
    const [namespace, podName = ""] = name === "" ? ["default", pod.name] : name.split("/")
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${podName}`
    const path = call.implementation ? binDirectory(call.implementation) : this.plugins
    return { command: "add", network, netns: pod, args, path, ...call }
  }

  /** Runs `cni-ts` on the node. */
  cniTs(...args: readonly string[]): Finished {
    return this.cniTsAs([], ...args)
  }

  /** As cniTs(), started by another program. */
  cniTsAs(launcher: readonly string[], ...args: readonly string[]): Finished {
    return this.#run([...launcher, "/opt/cni/bin/cni-ts", ...args])
  }

  /** Runs a shell script as if it were on the node; it stops at the first command that fails. */
  shell(script: string): Finished {
    return this.#run([...BASH, `set -e\n${script}`])
  }

  #run(argv: readonly string[]): Finished {
    const program = ["unshare", "--mount", ...BASH, AT_HOME, this.dir, ...argv]
    return run(this.inside(program), { env: { PATH: process.env["PATH"] ?? "" } })
  }

  doctor(...args: readonly string[]): Diagnosis {
    return this.doctorAs([], ...args)
  }

  /** As doctor(), started by another program. */
  doctorAs(launcher: readonly string[], ...args: readonly string[]): Diagnosis {
    const { exitCode, stdout, stderr } = this.cniTsAs(launcher, "doctor", "-o", "json", ...args)
    if (stderr !== "") throw new Error(`doctor: ${stderr}`)
    return { exitCode, ...JSON.parse(stdout) }
  }
}

function requireSuccess({ exitCode, stdout, stderr }: Finished): void {
  if (exitCode !== 0) throw new Error(`ADD failed: ${stdout}${stderr}`)
}
