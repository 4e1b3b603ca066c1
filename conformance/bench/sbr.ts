import { output } from "../lab/run.ts"
import { LinkedPod } from "./bandwidth.ts"
import type { OnLink } from "./linked.ts"

const ADDRESS = "192.168.1.209/24"
const GATEWAY = "192.168.1.1"

/** A table for one address, with a default route and one more. */
export const SBR: OnLink = {
  connect: () => {
    const pod = new LinkedPod()
    const batch = `link set eth0 up\naddr add ${ADDRESS} dev eth0\nroute add 192.168.2.0/24 via 192.168.1.2\n`
    output(["ip", "link", "set", pod.veth, "up"])
    output(pod.namespace.inside(["ip", "-batch", "-"]), { stdin: batch })
    return pod
  },
  config: ({ namespace }) => ({
    cniVersion: "1.0.0",
    name: "second",
    type: "sbr",
    prevResult: {
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", sandbox: namespace.path }],
      ips: [{ address: ADDRESS, gateway: GATEWAY, interface: 0 }],
    },
  }),
}
