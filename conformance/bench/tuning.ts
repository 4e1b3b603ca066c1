import type { OnLink } from "./linked.ts"

const MAC = "02:00:00:00:00:7a"

/** Two sysctls, and the interface's MAC address and MTU. */
export const TUNING: OnLink = {
  config: ({ namespace }) => ({
    cniVersion: "1.0.0",
    name: "tuned",
    type: "tuning",
    sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1" },
    mac: MAC,
    mtu: 1400,
    prevResult: { cniVersion: "1.0.0", interfaces: [{ name: "eth0", mac: MAC, sandbox: namespace.path }] },
  }),
}
