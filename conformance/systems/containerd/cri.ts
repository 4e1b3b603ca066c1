import { View } from "../../lab/namespace.ts"
import { BASH, type Finished, output, run, runAsync } from "../../lab/run.ts"
import { PROGRAMS, SOCKET } from "./programs.ts"
import { PodSandbox, type SandboxWish, sandboxConfig } from "./sandbox.ts"

const CRICTL = ["crictl", "-r", `unix://${SOCKET}`, "-t", "110s"]

/** Ready is who answers and has loaded a network. */
const WAIT_UNTIL_READY = `for _ in {1..200}; do
  info=$(${CRICTL.join(" ")} info 2>&1) && [[ $info =~ true,[[:space:]]*\\"type\\":\\ \\"NetworkReady ]] && exit
  sleep 0.1
done
echo "$info"
exit 1`

/** A machine on which containerd listens on `SOCKET`. */
interface Place {
  /** The argument vector that runs `argv` there. */
  inside(argv: readonly string[]): string[]
  /** Returns the path by which the tests find a file of that place. */
  path(inside: string): string
  /** The control group for the pods. */
  readonly cgroup: string
}

/** A kubelet's view of a node: what it has containerd do, over CRI, by way of crictl. */
export class Cri {
  readonly #place: Place
  #sandboxes = 0

  constructor(place: Place) {
    this.#place = place
  }

  /** Resolves when pods can be asked for. */
  async ready(): Promise<void> {
    const up = await runAsync(this.#place.inside([...BASH, WAIT_UNTIL_READY]), { env: PROGRAMS })
    if (up.exitCode !== 0) throw new Error(`containerd does not get ready: ${up.stdout}${up.stderr}`)
  }

  /** Gives containerd the image of every pod. */
  importPauseImage(archive: string): void {
    output(this.#place.inside(["ctr", "-n", "k8s.io", "images", "import", archive]), { env: PROGRAMS })
  }

  /** A call of crictl, whatever comes of it. */
  crictl(...args: string[]): Finished {
    return run(this.#place.inside([...CRICTL, ...args]), { env: PROGRAMS })
  }

  /** RunPodSandbox; throws if it fails. */
  async runPod(wish: SandboxWish = {}): Promise<PodSandbox> {
    const done = await this.tryPod(wish)
    if (done.exitCode !== 0) throw new Error(`RunPodSandbox failed: ${done.stderr}`)
    return new PodSandbox(this, done.stdout.trim())
  }

  /** RunPodSandbox, whatever comes of it. */
  tryPod(wish: SandboxWish = {}): Promise<Finished> {
    const name = wish.name ?? `pod${++this.#sandboxes}`
    const stdin = JSON.stringify(sandboxConfig({ ...wish, name }, this.#place.cgroup))
    const script = `cat >"$0" && exec ${CRICTL.join(" ")} runp "$0"`
    return runAsync(this.#place.inside([...BASH, script, `/run/${name}.json`]), { env: PROGRAMS, stdin })
  }

  /** Stops and removes all sandboxes, whatever their state, as a kubelet does that finds none of them wanted. */
  removePods(): void {
    const ids = this.crictl("pods", "-q").stdout.split("\n").filter(Boolean)
    for (const call of ["stopp", "rmp"]) {
      const done = ids.length > 0 && this.crictl(call, ...ids)
      if (done && done.exitCode !== 0) throw new Error(`crictl ${call} failed: ${done.stderr}`)
    }
  }

  view(netns: string): View {
    return new View(this.#place.path(netns.replace(/^\/var\/run/, "/run")))
  }
}
