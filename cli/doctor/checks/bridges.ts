import { formatAddress, sameAddress } from "../../../lib/ip/address.ts"
import { parseMac } from "../../../lib/ip/mac.ts"
import { formatPrefix } from "../../../lib/ip/prefix.ts"
import { addAddress } from "../../../lib/netlink/route/address.ts"
import { changeLink, type Link } from "../../../lib/netlink/route/link.ts"
import { type BridgeConfig, readBridgeConfig } from "../../../plugins/bridge/config.ts"
import { ensureMacGuard, macGuardProblem } from "../../../plugins/bridge/mac-guard.ts"
import type { Attached } from "../../survey/attached.ts"
import { configOf } from "../../survey/network-list.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds bridges that do not carry their pods: gone, down, without the gateway's address, or left by a pod's veth. */
export const checkBridges: Check = function* (survey: Survey, subject): Generator<Finding> {
  const seen = new Set<string>()
  for (const attached of survey.attached) {
    if (subject && !subject.containerIds.has(attached.containerId)) continue
    const config = survey.attempt(() => bridgeOf(attached))
    if (!config || survey.isGone(attached.netns)) continue
    const bridge = survey.links.find(({ name }) => name === config.bridge)
    const once = `${attached.network} ${config.bridge}`
    if (!seen.has(once)) yield* checkBridge(survey, attached, config, bridge)
    seen.add(once)
    if (bridge) yield* checkPort(survey, attached, bridge)
    if (config.macspoofchk) yield* checkMacGuard(survey, attached)
  }
}

/** Returns the configuration of the list's `bridge`; undefined if it has none. */
export function bridgeOf({ list, network }: Attached): BridgeConfig | undefined {
  const plugin = list?.plugins.find(({ type }) => type === "bridge")
  return plugin && readBridgeConfig(configOf(network, plugin))
}

function* checkBridge(
  survey: Survey,
  attached: Attached,
  config: BridgeConfig,
  bridge: Link | undefined,
): Generator<Finding> {
  const { network, result } = attached
  const about = config.bridge
  if (!bridge) {
    const mend = `restart the pods of ${network}: the first new ADD makes the bridge again`
    const evidence = [`ip link show ${about}: does not exist`]
    return yield { kind: "no-bridge", about, problem: `the bridge of ${network} is gone`, evidence, mend }
  }
  if (!bridge.up) {
    const evidence = [`ip -br link show ${about}: DOWN`]
    yield {
      kind: "bridge-down",
      about,
      problem: `the bridge of ${network} is down`,
      evidence,
      mend: `ip link set ${about} up`,
      repair: setUp(survey, bridge),
    }
  }
  const present = survey.addresses.filter(({ index }) => index === bridge.index).map(({ prefix }) => prefix)
  for (const { gateway, address } of config.isGateway ? result.ips : []) {
    if (!gateway || present.some((prefix) => sameAddress(prefix.address, gateway))) continue
    yield {
      kind: "no-gateway-address",
      about,
      problem: `the bridge lacks ${formatAddress(gateway)}, the gateway of the pods of ${network}`,
      evidence: [`ip -br address show ${about}: ${present.map(formatPrefix).join(" ") || "none"}`],
      cause: "something else configured the bridge, or another network took its address away",
      mend: `ip address add ${formatAddress(gateway)}/${address.length} dev ${about}`,
      repair: () => {
        const prefix = { address: gateway, length: address.length }
        const skipDetection = gateway.family === 6
        addAddress(survey.host.rtnetlink, { index: bridge.index, link: about, prefix, skipDetection })
      },
    }
  }
}

function setUp({ host }: Survey, { index, name }: Link): () => void {
  return () => changeLink(host.rtnetlink, index, name, { up: true })
}

/** A pod whose MAC address is another now is told of already: the guard is that of the one which ADD gave it. */
function* checkMacGuard(survey: Survey, attached: Attached): Generator<Finding> {
  const { network, containerId, ifname, netns, result } = attached
  const onHost = survey.link(survey.pod(netns)?.links.find(({ name }) => name === ifname)?.peer ?? 0)
  const own = result.interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== "")
  const mac = parseMac(own?.mac ?? "")
  if (onHost?.kind !== "veth" || !mac) return
  const attachment = { network, containerId, ifname }
  const host = survey.hostFor(containerId)
  const problem = survey.attempt(() => macGuardProblem(host, attachment, onHost.name, mac))
  if (problem === undefined) return
  yield {
    kind: "mac-guard",
    about: attached.pod,
    problem: "it can send by MAC addresses of others, in spite of macspoofchk",
    evidence: [problem],
    cause: "something else removed the rules since ADD, such as nft flush ruleset or a firewall's reload",
    mend: "cni-ts repair --yes",
    repair: () => ensureMacGuard(survey.host, attachment, onHost.name, mac),
  }
}

function* checkPort(survey: Survey, attached: Attached, bridge: Link): Generator<Finding> {
  const inPod = survey.pod(attached.netns)?.links.find(({ name }) => name === attached.ifname)
  const onHost = inPod && survey.link(inPod.peer)
  if (!inPod || onHost?.kind !== "veth") return
  if (onHost.master !== bridge.index) {
    const evidence = [`ip link show ${onHost.name}: ${onHost.master === 0 ? "no master" : `another master`}`]
    const mend = `ip link set ${onHost.name} master ${bridge.name}`
    const repair = () => changeLink(survey.host.rtnetlink, onHost.index, onHost.name, { master: bridge.index })
    const problem = `its veth is no port of ${bridge.name}`
    yield { kind: "left-bridge", about: attached.pod, problem, evidence, mend, repair }
  }
  if (!onHost.up) {
    const evidence = [`ip -br link show ${onHost.name}: DOWN`]
    const mend = `ip link set ${onHost.name} up`
    yield {
      kind: "veth-down",
      about: attached.pod,
      problem: "the node's end of its veth is down",
      evidence,
      mend,
      repair: setUp(survey, onHost),
    }
  }
  if (inPod.mtu <= bridge.mtu) return
  const evidence = [`${attached.ifname} of the pod: mtu ${inPod.mtu}`, `${bridge.name}: mtu ${bridge.mtu}`]
  const mend = `nsenter --net=${attached.netns} ip link set ${attached.ifname} mtu ${bridge.mtu}`
  yield {
    kind: "mtu",
    about: attached.pod,
    problem: "its MTU is larger than its bridge's: large packets are lost",
    evidence,
    mend,
  }
}
