import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { vi } from "vitest"
import type { NetworkList } from "../../lab/cnitool.ts"
import { View } from "../../lab/namespace.ts"
import { BASH, output } from "../../lab/run.ts"
import { snapshotNamespace } from "../../lab/snapshot.ts"
import { Cri } from "../../systems/containerd/cri.ts"
import { CACHE, PAUSE_ARCHIVE, SOCKET } from "../../systems/containerd/programs.ts"
import { CONTAINERD_TOML, startContainerd } from "../containerd.ts"
import { HERE, IMAGE, type Place, PROGRAMS, startMachine, write } from "../place.ts"
import { program } from "./programs.ts"

/** The node's name; a static pod has it after its own. */
export const NODE = "node1"

/** The image that pages name, which a test cannot fetch. */
const PAGES_IMAGE = "docker.io/library/busybox:1.37"

/** The kubelet answers without being asked who asks. */
const PODS = "http://127.0.0.1:10255/pods"

const MANIFESTS = "/etc/kubernetes/manifests"

/** Puts files of the machine's own over the sysctls that the kubelet would set for everything that this kernel runs. */
const KEEP_SYSCTLS = `
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes
do
  own=/run/sysctl-\${name//\\//.}
  cat /proc/sys/$name >$own && mount --bind $own /proc/sys/$name || exit
done`

/** A kubelet's configuration: every file is looked at each second, and containers are below the machine's control group alone. */
function configuration(cgroup: string): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    staticPodPath: MANIFESTS,
    containerRuntimeEndpoint: `unix://${SOCKET}`,
    cgroupDriver: "cgroupfs",
    cgroupRoot: cgroup,
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    oomScoreAdj: 0,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    readOnlyPort: 10255,
    evictionHard: { "memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
    fileCheckFrequency: "1s",
    syncFrequency: "5s",
  }
}

/** A pod as the kubelet or the API server tells it. */
export interface PodStatus {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> }
  readonly status: {
    readonly phase?: string
    readonly podIPs?: readonly { readonly ip: string }[]
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[]
  }
}

/** Tries until nothing is thrown: a cluster does everything a while later. */
export function eventually<T>(attempt: () => T): Promise<T> {
  return vi.waitFor(attempt, { timeout: 90_000, interval: 250 })
}

/** A pod's specification with one container, which answers on the ports 80 and 81; `container` says more about it. */
export function podSpec(container: object = {}, spec: object = {}): object {
  const command = ["/bin/answer", "80", "81"]
  return {
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    containers: [{ name: "answer", image: IMAGE, imagePullPolicy: "Never", command, ...container }],
    ...spec,
  }
}

/** A machine with containerd 2.2 and kubelet 1.34, which runs static pods. */
export class KubeletNode implements AsyncDisposable {
  readonly place: Place
  readonly cri: Cri
  readonly #options: readonly string[]
  readonly #log: string
  #kubelet: ChildProcess | undefined

  private constructor(place: Place, options: readonly string[]) {
    this.place = place
    this.cri = new Cri(place.machine)
    this.#options = options
    this.#log = join(place.node.dir, "kubelet.log")
  }

  /**
   * Starts a node, with a network or none: then only pods with the node's own can run. `options` are the kubelet's, beside
   * those that it is always given; what these need is made by `prepare`.
   */
  static async start(
    network: NetworkList | undefined,
    options: readonly string[] = [],
    prepare: (place: Place) => Promise<void> = async () => {},
  ): Promise<KubeletNode> {
    const node = new KubeletNode(await startMachine(), options)
    try {
      await prepare(node.place)
      await node.#start(network)
    } catch (error) {
      await node[Symbol.asyncDispose]()
      throw error
    }
    return node
  }

  async #start(network: NetworkList | undefined): Promise<void> {
    const { machine } = this.place
    for (const file of [program("kubelet"), join(CACHE, "root/usr/bin/crictl")])
      output(["cp", file, machine.path("/usr/bin/")])
    output(["ln", "-s", "busybox", machine.path("/usr/bin/mount")])
    output(["cp", PAUSE_ARCHIVE, machine.path("/pause.tar")])
    output(["rm", machine.path("/etc/cni/net.d/87-podman-bridge.conflist")])
    if (network) write(machine, "/etc/cni/net.d/10-network.conflist", JSON.stringify(network))
    write(machine, "/etc/hosts", `127.0.0.1 localhost\n${HERE.ipv4} ${NODE}\n`)
    write(machine, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    write(machine, "/etc/group", "root:x:0:\n")
    write(machine, "/etc/containerd/config.toml", CONTAINERD_TOML)
    output(["mkdir", "-p", machine.path(MANIFESTS)])
    write(machine, "/var/lib/kubelet/config.yaml", JSON.stringify(configuration(machine.cgroup)))
    output(machine.inside([...BASH, KEEP_SYSCTLS]), { env: PROGRAMS })
    startContainerd(this.place)
    await eventually(() => this.import("/pause.tar"))
    this.import("/image.tar")
    output(machine.inside(["ctr", "-n", "k8s.io", "images", "tag", IMAGE, PAGES_IMAGE]), { env: PROGRAMS })
    await this.startKubelet()
  }

  /** Gives containerd the images of an archive of the machine. */
  import(archive: string): void {
    this.cri.importPauseImage(archive)
  }

  async startKubelet(): Promise<void> {
    const { machine } = this.place
    const log = openSync(this.#log, "a")
    const always = ["--config=/var/lib/kubelet/config.yaml", `--hostname-override=${NODE}`, `--node-ip=${HERE.ipv4}`]
    const [enter = "", ...args] = machine.inside(["kubelet", ...always, ...this.#options])
    const child = spawn(enter, args, { env: PROGRAMS, stdio: ["ignore", log, log] })
    closeSync(log)
    this.#kubelet = child
    await eventually(() => child.exitCode ?? this.pods())
    if (child.exitCode !== null) throw new Error(`the kubelet ends: ${readFileSync(this.#log, "utf8").slice(-2000)}`)
  }

  /** Kills the kubelet, which leaves pods as they are. Resolves when it has ended, and its ports are free. */
  async killKubelet(): Promise<void> {
    const [line = ""] = this.place.machine.processes().filter((process) => process.endsWith("(kubelet)"))
    const ended = this.#kubelet && once(this.#kubelet, "exit")
    this.kill(Number.parseInt(line, 10))
    await ended
  }

  /** Kills a process by its number in the machine. */
  kill(pid: number): void {
    output(this.place.machine.inside(["kill", "-9", `${pid}`]), { env: PROGRAMS })
  }

  /** Has the kubelet run a pod, or another of that name in its place. */
  writePod(name: string, spec: object, annotations: object = {}): void {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", annotations }, spec }
    writeFileSync(this.place.machine.path(`${MANIFESTS}/${name}.json`), JSON.stringify(pod))
  }

  /** Takes static pods back; all without names. */
  removePods(...names: string[]): void {
    const files = names.length > 0 ? names.map((name) => `${MANIFESTS}/${name}.json`).join(" ") : `${MANIFESTS}/*.json`
    output(this.place.machine.inside([...BASH, `rm -f ${files}`]), { env: PROGRAMS })
  }

  pods(): PodStatus[] {
    return JSON.parse(output(this.place.node.inside(["curl", "-fsS", PODS]))).items ?? []
  }

  /** Returns what the kubelet says about a static pod. */
  status(name: string): PodStatus["status"] | undefined {
    return this.pods().find(({ metadata }) => metadata.name === `${name}-${NODE}`)?.status
  }

  /** Returns a static pod's status as soon as all of its containers are ready. */
  ready(name: string): Promise<PodStatus["status"]> {
    return eventually(() => {
      const status = this.status(name)
      if (!status?.containerStatuses?.every(({ ready }) => ready)) throw new Error(`${name}: ${JSON.stringify(status)}`)
      return status
    })
  }

  /** Says if the kubelet's log has a text, such as a plugin's error. */
  logged(text: string): boolean {
    return readFileSync(this.#log, "utf8").includes(text)
  }

  /** Returns the sandbox in which a pod of that name runs, as CRI knows it. */
  sandbox(name: string): string {
    const id = this.cri.crictl("pods", "--name", `^${name}$`, "--state", "ready", "-q").stdout.trim()
    if (!/^\w+$/.test(id)) throw new Error(`sandboxes of ${name}: ${id}`)
    return id
  }

  /** Returns the number, in the machine, of the process that holds a sandbox's namespaces. */
  sandboxPid(id: string): number {
    return JSON.parse(this.cri.crictl("inspectp", id).stdout).info.pid
  }

  /** Returns the number, in the machine, of the first process of a sandbox's container. */
  containerPid(sandbox: string, container: string): number {
    const id = this.cri.crictl("ps", "-q", "--pod", sandbox, "--name", `^${container}$`).stdout.trim()
    return JSON.parse(this.cri.crictl("inspect", id).stdout).info.pid
  }

  /** Looks into a sandbox's network. */
  view(sandbox: string): View {
    return new View(this.place.machine.path(`/proc/${this.sandboxPid(sandbox)}/ns/net`))
  }

  /** Returns what pods may leave on the node: links, addresses, routes, rules, leases, namespaces. */
  state(): object {
    const found = output(this.place.machine.inside([...BASH, LEFT_FILES]), { env: PROGRAMS })
    return { ...snapshotNamespace(this.place.node), files: found.split("\n").filter(Boolean) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.place.machine[Symbol.asyncDispose]()
    this.place.node[Symbol.dispose]()
  }
}

/** Leased addresses, results and namespaces. */
const LEFT_FILES = `shopt -s nullglob
for file in /var/lib/cni/networks/*/*.*.* /var/lib/cni/networks/*/*:* /var/lib/cni/results/* /run/netns/*; do echo $file; done`
