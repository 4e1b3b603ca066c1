import { formatAddress, sameAddress } from "../../../lib/ip/address.ts"
import { formatMac } from "../../../lib/ip/mac.ts"
import { ECHO_OVERHEAD } from "../../probes/icmp.ts"
import type { Reach } from "../../probes/interface.ts"
import type { Attached } from "../../survey/attached.ts"
import type { Survey } from "../../survey/survey.ts"
import type { InterfacePlan } from "./plan.ts"
import type { Symptom } from "./symptom.ts"

/**
 * Says if the address gave no sign of life. That an echo request alone is not answered may be meant: then it is none. An answer to one is none
 * from a neighbour of IPv6 that was introduced: it has to answer neighbour discovery.
 */
export function isSilent({ address, macs, echoed, mac }: Reach): boolean {
  const isIntroduced = mac !== undefined && address.family === 6
  return macs.length === 0 && (isIntroduced || !echoed)
}

/** Returns what the interface's gateways did not answer as they should. */
export function* gatewaySymptoms(survey: Survey, plan: InterfacePlan): Generator<Symptom> {
  for (const gateway of plan.gateways) {
    if (isSilent(gateway)) yield silent(plan, gateway)
    yield* taken(survey, plan, gateway)
  }
  const tooFar = plan.gateways.find(({ whole, echoed, echoedWhole }) => whole && echoed && !echoedWhole)
  if (tooFar) yield narrow(survey, plan, tooFar)
}

/** Returns the words of a tool that asks the same, and what it would say. */
export function neighbourEvidence(
  { asking }: InterfacePlan,
  { address, macs }: Pick<Reach, "address" | "macs">,
): string {
  const tool = address.family === 4 ? `arping -c 1 -I ${asking.name}` : "ndisc6 -1"
  const end = address.family === 4 ? "" : ` ${asking.name}`
  return `${tool} ${formatAddress(address)}${end}: ${macs.join(" and ") || "no answer"}`
}

export function echoEvidence({ address, echoed, refusal }: Reach): string {
  return `ping -c 1 ${formatAddress(address)}: ${echoed ? "answered" : (refusal ?? "no answer")}`
}

function said({ address }: Pick<Reach, "address">, what: string): Pick<Symptom, "problem" | "together"> {
  const about = formatAddress(address)
  return {
    problem: `its gateway ${about} ${what}`,
    together: { about, problem: (pods) => `the gateway of ${pods} ${what}` },
  }
}

function silent(plan: InterfacePlan, gateway: Reach): Symptom {
  const { attached, asking } = plan
  const onBridge = attached.list?.plugins[0]?.type === "bridge"
  return {
    kind: "gateway-silent",
    attached,
    family: gateway.address.family,
    ...said(gateway, "does not answer"),
    evidence: [neighbourEvidence(plan, gateway), echoEvidence(gateway)],
    cause: onBridge
      ? "something between pod and bridge drops packets: a rule, a filter, arp_ignore, a VLAN"
      : "the gateway is down or elsewhere, or a switch drops packets of the pod's MAC address",
    mend: onBridge
      ? "see nft list ruleset, tc filter show, bridge vlan show, sysctl net.ipv4.conf.all.arp_ignore"
      : `see if ${formatAddress(gateway.address)} answers others on the network of ${asking.name}`,
  }
}

/** Another one answers for the address that a bridge of the node has. */
function* taken(survey: Survey, plan: InterfacePlan, { address, macs }: Reach): Generator<Symptom> {
  const holder = survey.addresses.find(({ prefix }) => sameAddress(prefix.address, address))
  const bridge = holder && survey.links.find(({ index, kind }) => index === holder.index && kind === "bridge")
  const strangers = bridge ? macs.filter((mac) => mac !== formatMac(bridge.mac)) : []
  if (!bridge || strangers.length === 0) return
  const owners = strangers.map((mac) => `${mac}: ${ownerOf(survey, mac) ?? "no pod of this node"}`)
  yield {
    kind: "gateway-taken",
    attached: plan.attached,
    family: address.family,
    ...said({ address }, "is answered for by another interface as well"),
    evidence: [
      neighbourEvidence(plan, { address, macs }),
      `ip -br link show ${bridge.name}: ${formatMac(bridge.mac)}`,
      ...owners,
    ],
    cause: "somebody gave a pod or a machine the gateway's address, or pretends to have it",
    mend: "stop that pod, or take the address from it; macspoofchk keeps pods from pretending",
  }
}

/** Returns the pod that has an interface with the MAC address. */
function ownerOf(survey: Survey, mac: string): string | undefined {
  const isTheirs = ({ netns }: Attached) => survey.pod(netns)?.links.some((link) => formatMac(link.mac) === mac)
  return survey.attached.find(isTheirs)?.pod
}

function narrow(survey: Survey, { attached, asking }: InterfacePlan, gateway: Reach): Symptom {
  const { address } = gateway
  const size = asking.mtu - ECHO_OVERHEAD[address.family]
  const inPod = survey.pod(attached.netns)?.links.find(({ index }) => index === asking.index)
  const onHost = survey.links.find(({ index, kind }) => kind === "veth" && index === inPod?.peer)
  const isNarrow = onHost !== undefined && onHost.mtu < asking.mtu
  return {
    kind: "path-mtu",
    attached,
    family: address.family,
    ...said(gateway, `is not reached by packets of the MTU, ${asking.mtu} bytes`),
    evidence: [
      `ping -c 1 -M do -s ${size} ${formatAddress(address)}: no answer`,
      echoEvidence(gateway),
      ...(onHost ? [`ip link show ${onHost.name}: mtu ${onHost.mtu}`] : []),
    ],
    cause: "a link between takes only smaller ones: small packets pass, and whole pages hang",
    mend: isNarrow
      ? `ip link set ${onHost.name} mtu ${asking.mtu}`
      : `nsenter --net=${attached.netns} ip link set ${asking.name} mtu N, with the N of the narrowest link`,
  }
}
