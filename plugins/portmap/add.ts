import type { ChainedMaking } from "../../lib/attachment/chained-plugin.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { PortmapConfig } from "./config.ts"
import { ensureHostports, removeHostports } from "./hostport/hostports.ts"
import type { PodPorts } from "./hostport/pod-rules.ts"
import { planPods } from "./pods.ts"
import { onlyAddress } from "./port-mapping.ts"
import { closeRouteLocalnet, type PodEnd, planRouteLocalnet } from "./route-localnet.ts"
import { forgetUdpFlows, type UdpPort } from "./stale-flows.ts"

/** Leads the host ports that the runtime asks for to the pod. The result is that of the plugins before. */
export function add({ call, config, attachment, host, undo }: ChainedMaking<PortmapConfig>, result: Result): Result {
  const pods = planPods(call, config, result)
  const end = { attachment, netns: call.environment.netns }
  const openLocalhost = pods.map((pod) => planLocalhost(host, end, pod, call.log))
  undo.add(() =>
    closeRouteLocalnet(
      host,
      end,
      pods.filter(({ family }) => family === 4).map(({ address }) => address),
    ),
  )
  undo.attempt(
    () => ensureHostports(host, attachment, pods),
    () => removeHostports(host, attachment),
  )
  for (const open of openLocalhost) open?.()
  for (const pod of pods) forgetUdpFlows(host, pod.family, udpPortsOf(pod))
  return result
}

/** IPv6 has no such setting: ::1 does not reach pods. */
function planLocalhost(
  host: NetworkStack,
  end: PodEnd,
  { family, address, masquerade }: PodPorts,
  log: Call["log"],
): (() => void) | undefined {
  if (family !== 4 || masquerade === "none") return undefined
  return planRouteLocalnet(host, end, address, (link) =>
    log.noticed(`127.0.0.1 leads to no host port of ${formatAddress(address)}: ${link} is no link of this pod's`),
  )
}

/** Whoever answered there until now is not the pod. */
function udpPortsOf({ mappings, address }: PodPorts): UdpPort[] {
  const udp = mappings.filter(({ protocol }) => protocol === "udp")
  return udp.map((mapping) => ({
    port: mapping.hostPort,
    address: onlyAddress(mapping),
    ledTo: { source: address, sourcePort: mapping.containerPort },
  }))
}
