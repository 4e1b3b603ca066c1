import {
  type CheckedInterface,
  checkHostEnd,
  checkPodInterface,
  checkPodNetwork,
  compareMac,
  ownIps,
} from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { masqueradeProblem } from "../../lib/attachment/masquerade.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { formatPrefix, onlyFamily, samePrefix } from "../../lib/ip/prefix.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { listAddresses } from "../../lib/netlink/route/address.ts"
import { type Link, readLink } from "../../lib/netlink/route/link.ts"
import { readPortVlans } from "../../lib/netlink/route/port-vlan.ts"
import { readBridge } from "./bridge-link.ts"
import type { BridgeConfig } from "./config.ts"
import { planGateways } from "./layer3.ts"
import { macGuardProblem } from "./mac-guard.ts"

/** Returns if all that ADD made for this attachment is as ADD left it; throws the first difference. */
export function check({ call, config, attachment, host, pod }: CheckContext<BridgeConfig>, result: Result): void {
  const bridge = checkBridge(host, config, result)
  const inPod = checkPodInterface(pod, call, result, "veth")
  const veth = checkHostEnd({ host, pod }, inPod.link, call, result)
  checkPort(host, veth, bridge, config)
  checkRules(host, attachment, { config, result, veth, inPod })
  if (config.isGateway) checkGateway(host, bridge, config, result)
  checkPodNetwork(pod, inPod, result)
}

function checkBridge(host: NetworkStack, config: BridgeConfig, { interfaces }: Result): Link {
  const listed = interfaces.find(({ name, sandbox }) => name === config.bridge && sandbox === "")
  if (!listed)
    throw changed(`bridge ${config.bridge} is not in prevResult`, "is this the config that ADD was called with?")
  const link = readBridge(host.rtnetlink, config.bridge)
  if (!link) throw changed(`bridge ${config.bridge} is gone`)
  compareMac(link, listed)
  if (config.promiscMode && !link.promiscuous) throw changed(`bridge ${config.bridge} is not in promiscuous mode`)
  return link
}

/** Throws unless the host end is a port of the bridge with the config's settings. */
function checkPort(host: NetworkStack, veth: Link, bridge: Link, config: BridgeConfig): void {
  if (veth.master !== bridge.index) throw changed(`${veth.name} is not attached to bridge ${bridge.name}`)
  if (veth.port?.hairpin !== config.hairpinMode)
    throw changed(`hairpin mode of ${veth.name} is not ${config.hairpinMode}`)
  if (veth.port.isolated !== config.portIsolation)
    throw changed(`isolation of ${veth.name} is not ${config.portIsolation}`)
  checkVlans(host, veth, config)
}

interface RuleCheck {
  readonly config: BridgeConfig
  readonly result: Result
  readonly veth: Link
  readonly inPod: CheckedInterface
}

function checkRules(host: NetworkStack, attachment: Attachment, { config, result, veth, inPod }: RuleCheck): void {
  const addresses = ownIps(result, inPod.position).map(({ address }) => address)
  const problem =
    (config.ipMasq && masqueradeProblem(host, { attachment, backend: config.ipMasq, addresses })) ||
    (config.macspoofchk && macGuardProblem(host, attachment, veth.name, inPod.link.mac))
  if (problem) throw changed(problem)
}

function checkVlans(host: NetworkStack, veth: Link, { vlan, vlanTrunk = [] }: BridgeConfig): void {
  const wanted = vlan === 0 ? vlanTrunk : [vlan, ...vlanTrunk]
  if (wanted.length === 0) return
  const present = readPortVlans(host.rtnetlink, veth.index)
  const missing = wanted.filter((id) => !present.some((port) => port.id === id))
  if (missing.length > 0) throw changed(`VLAN ${missing.join(", ")} is missing on ${veth.name}`)
}

function checkGateway(host: NetworkStack, bridge: Link, config: BridgeConfig, result: Result): void {
  const link = config.vlan === 0 ? bridge : readLink(host.rtnetlink, `${bridge.name}.${config.vlan}`)
  if (!link) throw changed(`interface ${bridge.name}.${config.vlan} is gone`)
  const { gateways } = planGateways(result, config)
  const present = listAddresses(host.rtnetlink, link.index, onlyFamily(gateways))
  for (const gateway of gateways) {
    if (!present.some(({ prefix }) => samePrefix(prefix, gateway))) {
      throw changed(`gateway address ${formatPrefix(gateway)} is missing on ${link.name}`)
    }
  }
}
