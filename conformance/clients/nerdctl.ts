import { BASH, output } from "../lab/run.ts"
import { startContainerd } from "./containerd.ts"
import { Engine } from "./engine.ts"
import { PROGRAMS, startMachine, write } from "./place.ts"

/** Alone on its machine, containerd needs none of what it asks the kubelet's interface for. */
const CONTAINERD_TOML = `
version = 3
disabled_plugins = ["io.containerd.grpc.v1.cri"]
`

const NERDCTL_TOML = `
cgroup_manager = "cgroupfs"
`

const WAIT_UNTIL_READY = "for _ in {1..200}; do ctr version >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1"

/** nerdctl 2.1 with containerd 2.2 and the default network that it makes. */
export class Nerdctl extends Engine {
  protected readonly program = ["nerdctl"]
  protected readonly daemons = ["containerd"]
  readonly always = [`--cgroup-parent=${this.machine.cgroup}`]

  static async start(): Promise<Nerdctl> {
    const nerdctl = new Nerdctl(await startMachine())
    nerdctl.machine.run(["rm", "/etc/cni/net.d/87-podman-bridge.conflist"])
    write(nerdctl.machine, "/etc/containerd/config.toml", CONTAINERD_TOML)
    write(nerdctl.machine, "/etc/nerdctl/nerdctl.toml", NERDCTL_TOML)
    startContainerd(nerdctl)
    output(nerdctl.machine.inside([...BASH, WAIT_UNTIL_READY]), { env: PROGRAMS })
    nerdctl.do("load", "-i", "/image.tar")
    return nerdctl
  }
}
