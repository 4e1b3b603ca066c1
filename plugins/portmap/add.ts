import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { backendOn } from "./backend.ts"
import type { PortmapConfig } from "./config.ts"
import { ensureHostports, removeHostports } from "./hostport/hostports.ts"
import { ensureIptablesHostports } from "./iptables/ensure.ts"
import { noticeLegacyRules } from "./iptables/notices.ts"
import { type PodMappings, planPodMappings } from "./pod-mappings.ts"
import { onlyAddress } from "./port-mapping.ts"
import { closeRouteLocalnet, type MappedPod, planRouteLocalnet } from "./route-localnet.ts"
import { forgetUdpFlows, type UdpPort } from "./udp-flows.ts"

/** Leads the host ports that the runtime asks for to the pod. Returns prevResult. */
export function add(
  { call, config, attachment, host, undo }: ChainedAddContext<PortmapConfig>,
  result: Result,
): Result {
  const backend = backendOn(host, config, result)
  const wanted = planPodMappings(call, config, result, backend)
  const pod = { attachment, netns: call.environment.netns }
  const openLocalhost = wanted.map((each) => planLocalhost(host, pod, each, call.log))
  undo.add(() =>
    closeRouteLocalnet(
      host,
      wanted.filter(({ family }) => family === 4).map(({ address }) => address),
      pod,
    ),
  )
  if (backend === "iptables") noticeLegacyRules(call.log)
  undo.attempt(
    backend === "iptables"
      ? () => ensureIptablesHostports(host, attachment, config, wanted)
      : () => ensureHostports(host, attachment, wanted),
    () => removeHostports(host, attachment),
  )
  for (const open of openLocalhost) open?.()
  for (const each of wanted) forgetUdpFlows(host, each.family, udpPortsOf(each))
  return result
}

/** Plans route_localnet for 127.0.0.1. IPv6 has no such setting: ::1 does not reach pods. */
function planLocalhost(
  host: NetworkStack,
  pod: MappedPod,
  { family, address, mappings, masquerade }: PodMappings,
  log: Call["log"],
): (() => void) | undefined {
  if (family !== 4 || mappings.length === 0 || masquerade === "none") return undefined
  return planRouteLocalnet(host, pod, address, (link) =>
    log.noticed(`127.0.0.1 leads to no host port of ${formatAddress(address)}: ${link} is no link of this pod's`),
  )
}

/** Returns the UDP ports whose flows led elsewhere until now. */
function udpPortsOf({ mappings, address }: PodMappings): UdpPort[] {
  const udp = mappings.filter(({ protocol }) => protocol === "udp")
  return udp.map((mapping) => ({
    port: mapping.hostPort,
    address: onlyAddress(mapping),
    ledTo: { source: address, sourcePort: mapping.containerPort },
  }))
}
