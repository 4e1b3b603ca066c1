import { hasIPv6 } from "../../lib/attachment/addresses.ts"
import { attachmentAlias } from "../../lib/attachment/alias.ts"
import { assertRoomForIPv6 } from "../../lib/attachment/interface-keys.ts"
import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { ensureMasquerade } from "../../lib/attachment/masquerade.ts"
import { configurePodInterface } from "../../lib/attachment/pod-interface.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { type Interface, noDns, type Result } from "../../lib/cni/result.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { waitUntilUp } from "../../lib/net/events.ts"
import { planForwarding } from "../../lib/net/forwarding.ts"
import { IPV6_LEAST_MTU } from "../../lib/net/ipv6.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { changeLink, type Link, readPortState } from "../../lib/netlink/route/link.ts"
import { forgetNeighbour } from "../../lib/netlink/route/neighbour.ts"
import { attach, settleMtu, type VethPair } from "./attach.ts"
import {
  adaptBridge,
  ensureBridge,
  planGatewayAddresses,
  putGatewayAddresses,
  type WantedBridge,
} from "./bridge-link.ts"
import { type BridgeConfig, readRequestedMac } from "./config.ts"
import { type Layer3, planGateways } from "./layer3.ts"
import { refuseWideRequests } from "./requested-width.ts"
import { ensureGatewayInterface } from "./vlan.ts"

/** Connects one pod to the bridge. */
export function add(context: AddContext<BridgeConfig>): Result {
  const { call, config, attachment, host, pod, undo } = context
  const mac = readRequestedMac(call)
  const wanted = wantedBridge(config)
  const bridge = ensureBridge(host, wanted, undo)
  const pair = attach(context, bridge, mac)
  const layer3 = config.ipamType === "" ? undefined : planGateways(context.takeAddresses(), config)
  if (layer3 && config.isGateway) refuseWideRequests(call, config.ipamType, layer3.ips)
  if (layer3) configurePod(context, pair, layer3)
  else if (!config.disableContainerInterface) changeLink(pod.rtnetlink, pair.pod.index, attachment.ifname, { up: true })
  if (layer3) masquerade(context, layer3)
  const gateway = layer3 && becomeGateway(host, bridge, config, layer3)
  adaptBridge(host, bridge, wanted)
  const port = config.disableContainerInterface
    ? readPortState(host.rtnetlink, pair.host.index)
    : waitUntilUp(host, pair.host.index)
  // The ADD that made the bridge may have failed and removed it before it saw our port.
  if (port?.master !== bridge.index)
    throw new Conflict(`bridge ${bridge.name} vanished while it was being used`, "try again")
  for (const enable of gateway?.forwarding ?? []) enable()
  host.rtnetlink.together(() => {
    if (gateway && layer3) forgetNeighbours(host, gateway.link, layer3)
    changeLink(host.rtnetlink, pair.host.index, pair.host.name, { alias: attachmentAlias(attachment) })
  })
  return describe(call, { bridge, pair, gateway: gateway?.inVlan, layer3, config })
}

function wantedBridge({ bridge, mtu, promiscMode, vlan, vlanTrunk }: BridgeConfig): WantedBridge {
  return { name: bridge, mtu, promiscuous: promiscMode, vlanFiltering: vlan !== 0 || vlanTrunk !== undefined }
}

function configurePod(
  { host, pod, config, attachment }: AddContext<BridgeConfig>,
  pair: VethPair,
  layer3: Layer3,
): void {
  const mtu = config.mtu || pair.host.mtu
  const ipv6 = hasIPv6(layer3.ips)
  if (ipv6) assertRoomForIPv6("mtu", config.mtu)
  settleMtu({ host, pod }, pair, ipv6 ? Math.max(mtu, IPV6_LEAST_MTU) : mtu)
  configurePodInterface(pod, {
    index: pair.pod.index,
    name: attachment.ifname,
    addresses: layer3.ips.map(({ address, gateway }) => ({ prefix: address, gateway })),
    routes: layer3.routes.map(({ gw, ...route }) => ({ ...route, gateway: gw })),
    detectDuplicates: config.enableDad,
  })
}

function masquerade(
  { call: { log }, config, attachment, host, undo }: AddContext<BridgeConfig>,
  { ips }: Layer3,
): void {
  const { ipMasq: backend } = config
  const addresses = ips.map(({ address }) => address)
  if (backend) ensureMasquerade(host, { attachment, backend, addresses, undo, log })
}

interface Gateway {
  /** The bridge, or its interface in the VLAN. */
  readonly link: Link
  readonly inVlan: Link | undefined
  /** Steps that let the node forward the pods' packets. They are not undone, so they come last. */
  readonly forwarding: readonly (() => void)[]
}

/** Gives the bridge, or its interface in the VLAN, the pods' gateway addresses. Returns undefined if the network wants no gateway. */
function becomeGateway(host: NetworkStack, bridge: Link, config: BridgeConfig, layer3: Layer3): Gateway | undefined {
  if (!config.isGateway) return undefined
  const { vlan, preserveDefaultVlan, forceAddress } = config
  const inVlan = vlan === 0 ? undefined : ensureGatewayInterface(host, bridge, vlan, preserveDefaultVlan)
  const link = inVlan ?? bridge
  const plan = planGatewayAddresses(host, link, layer3.gateways, forceAddress)
  const families = new Set(layer3.gateways.map(({ address }) => address.family))
  const forwarding = [...families].map((family) => planForwarding(host, family)).filter((step) => step !== undefined)
  putGatewayAddresses(host, plan)
  return { link, inVlan, forwarding }
}

/** Removes the neighbour entries of the pod's addresses, which may be of a pod that had them before. */
function forgetNeighbours(host: NetworkStack, { index }: Link, { ips }: Layer3): void {
  for (const { address } of ips) forgetNeighbour(host.rtnetlink, index, address.address)
}

interface Outcome {
  readonly bridge: Link
  readonly pair: VethPair
  readonly gateway: Link | undefined
  readonly layer3: Layer3 | undefined
  readonly config: BridgeConfig
}

function describe(call: Call, { bridge, pair, gateway, layer3, config }: Outcome): Result {
  const { ifname, netns } = call.environment
  const onHost = ({ name, mac }: Pick<Link, "name" | "mac">): Interface => ({ name, mac: formatMac(mac), sandbox: "" })
  const inPod: Interface = { name: ifname, mac: formatMac(pair.pod.mac), sandbox: netns }
  return {
    interfaces: [onHost(bridge), onHost(pair.host), inPod, ...(gateway ? [onHost(gateway)] : [])],
    ips: layer3?.ips ?? [],
    routes: layer3?.routes ?? [],
    dns: config.dns ?? layer3?.dns ?? noDns,
  }
}
