import { families, formatAddress } from "../../../lib/ip/address.ts"
import { echoEvidence, isSilent, neighbourEvidence } from "./gateways.ts"
import type { InterfacePlan, Peer } from "./plan.ts"
import type { Symptom } from "./symptom.ts"

/**
 * Returns which pods do not reach others of their network. That a pod does not answer echo requests may be a policy: it counts if none
 * does, of several.
 */
export function* peerSymptoms(plans: readonly InterfacePlan[]): Generator<Symptom> {
  for (const family of families) {
    for (const network of new Set(plans.map(({ attached }) => attached.network))) {
      const asking = plans
        .filter(({ attached }) => attached.network === network)
        .map((plan) => ({ plan, peers: plan.peers.filter(({ reach }) => reach.address.family === family) }))
        .filter(({ peers }) => peers.length > 0)
      for (const { plan, peers } of asking) for (const peer of peers) if (isLost(peer)) yield deaf(plan, peer)
      const answers = asking.flatMap(({ peers }) => peers).filter((peer) => !isLost(peer))
      if (answers.length < 2 || answers.some(({ reach }) => reach.echoed)) continue
      for (const { plan, peers } of asking)
        for (const peer of peers.slice(0, 1)) if (!isLost(peer)) yield dropped(plan, peer)
    }
  }
}

/** Says if the pod is on the same link, and not even there. */
function isLost({ reach }: Peer): boolean {
  return reach.near && isSilent(reach)
}

function deaf(plan: InterfacePlan, { attached, reach }: Peer): Symptom {
  return {
    ...said(plan, { attached, reach }, "whole as both are"),
    evidence: [neighbourEvidence(plan, reach), echoEvidence(reach)],
    cause: "the bridge does not pass packets between them: isolated ports, a VLAN, a rule of the bridge",
    mend: "see bridge -d link show, bridge vlan show, nft list ruleset bridge",
  }
}

function dropped(plan: InterfacePlan, { attached, reach }: Peer): Symptom {
  return {
    ...said(plan, { attached, reach }, "nor another pod of its network"),
    evidence: [...(reach.near ? [neighbourEvidence(plan, reach)] : []), echoEvidence(reach)],
    cause: "rules drop packets between pods: a policy, or a FORWARD chain and bridge-nf-call-iptables",
    mend: "see nft list ruleset, sysctl net.bridge.bridge-nf-call-iptables, and network policies",
  }
}

function said({ attached }: InterfacePlan, { attached: peer, reach }: Peer, more: string) {
  return {
    kind: "pod-silent",
    attached,
    family: reach.address.family,
    peer,
    problem: `it does not reach ${peer.pod}, ${formatAddress(reach.address)}, ${more}`,
    together: { about: attached.network, problem: (pods: string) => `${pods} do not reach others of the network` },
  }
}
