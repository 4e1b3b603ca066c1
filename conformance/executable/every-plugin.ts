import type { Node, Pod } from "../lab/node.ts"
import { LimitedPod } from "../plugins/bandwidth/limited.ts"
import { type Config, DUAL, hostLocal } from "../plugins/bridge/network.ts"
import { plugInDevice } from "../plugins/host-device/network.ts"
import { ofLan, plugIn } from "../plugins/macvlan/network.ts"
import { resultOf, tcp } from "../plugins/portmap/network.ts"
import { ALL, prepare } from "../plugins/tuning/network.ts"

/** Each plugin's task for the node's pod. */
export const PLUGINS: Readonly<Record<string, (node: Node, pod: Pod) => Config>> = {
  bandwidth: (node, pod) => {
    const { prevResult } = new LimitedPod(node, { pod })
    return { egressMode: "ifb", ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5, prevResult }
  },
  bridge: (node) => ({ isDefaultGateway: true, ipMasq: true, macspoofchk: true, ipam: hostLocal(node, DUAL) }),
  firewall: (_, pod) => ({
    ingressPolicy: "same-bridge",
    prevResult: { cniVersion: "1.1.0", ...resultOf(pod, ["10.1.2.3/24", "fd00::3/64"]) },
  }),
  "host-device": (node) => {
    plugInDevice(node)
    return { device: "uplink", ipam: ofLan(node) }
  },
  "host-local": (node) => ({ ipam: hostLocal(node) }),
  loopback: () => ({}),
  macvlan: (node) => {
    plugIn(node)
    return { master: "uplink", ipam: ofLan(node) }
  },
  portmap: (_, pod) => ({
    runtimeConfig: { portMappings: [tcp(8080)] },
    prevResult: { cniVersion: "1.1.0", ...resultOf(pod, ["10.1.2.3/24"]) },
  }),
  ptp: (node) => ({ ipMasq: true, ipam: hostLocal(node, DUAL) }),
  sbr: (node, pod) => prepare(node, pod),
  tap: (node) => ({ owner: 1000, group: 1000, mtu: 1400, multiQueue: true, ipam: hostLocal(node, DUAL) }),
  tuning: (node, pod) => ({ ...ALL, dataDir: `${node.dir}/tuning`, ...prepare(node, pod) }),
  static: () => ({ ipam: { type: "static", addresses: [{ address: "10.1.2.3/24" }] } }),
}
