import { Engine } from "./engine.ts"
import { startMachine, write } from "./place.ts"

/** The first and the last setting are for machines that allow root less than others. */
const CONTAINERS_CONF = `
[containers]
cgroups = "disabled"
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
`

/** podman 4.3 with its CNI back end and the default network of Debian's package. */
export class Podman extends Engine {
  protected readonly program = ["podman"]
  protected readonly daemons: readonly string[] = []
  readonly always: readonly string[] = []

  static async start(): Promise<Podman> {
    const podman = new Podman(await startMachine())
    write(podman.machine, "/etc/containers/containers.conf", CONTAINERS_CONF)
    // crun refuses machines that have both versions of control groups.
    podman.machine.run(["umount", "/sys/fs/cgroup/unified"])
    podman.do("load", "-i", "/image.tar")
    return podman
  }
}
