import { formatAddress } from "../../../lib/ip/address.ts"
import { type Errno, explain } from "../../../lib/sys/errno.ts"
import type { Asked } from "../../probes/nameserver.ts"
import { echoEvidence, neighbourEvidence } from "./gateways.ts"
import type { NameserverPlan, PodPlan } from "./plan.ts"
import type { Symptom } from "./symptom.ts"

/** The codes by which a nameserver says that it cannot, or will not, look names up. */
const FAILURES = ["SERVFAIL", "REFUSED"]

/** Returns what the pod's nameservers did not answer as they should. */
export function* nameserverSymptoms(plan: PodPlan): Generator<Symptom> {
  const gateways = plan.interfaces.flatMap((own) => own.gateways.map((reach) => ({ own, reach })))
  for (const nameserver of plan.nameservers) {
    const { address, asked } = nameserver
    const ways = gateways
      .filter(({ reach }) => reach.address.family === address.family)
      .flatMap(({ own, reach }) => [...(reach.near ? [neighbourEvidence(own, reach)] : []), echoEvidence(reach)])
    const unanswered = asked.filter(({ code }) => code === undefined)
    const failed = asked.filter(({ code }) => code !== undefined && FAILURES.includes(code))
    if (unanswered.length > 0 && unanswered.length === asked.length) yield silent(plan, nameserver, ways)
    else if (failed.length > 0) yield failing(plan, nameserver)
  }
}

function digEvidence({ address }: NameserverPlan, { name, code, refusal }: Asked): string {
  const question = name === "" ? ". NS" : `${name}.`
  return `dig @${formatAddress(address)} ${question}: ${code ?? (refusal ? explain(refusal) : "no answer")}`
}

function said({ address }: NameserverPlan, what: string): Pick<Symptom, "problem" | "together"> {
  const about = formatAddress(address)
  return {
    problem: `its nameserver ${about} ${what}`,
    together: { about, problem: (pods) => `the nameserver of ${pods} ${what}` },
  }
}

/** The reason of its silence, by what came back instead of an answer. */
const causes: Partial<Record<Errno, string>> = {
  ECONNREFUSED: "nothing listens there, or no running nameserver is behind that service",
  EHOSTUNREACH: "there is no way to it: a route is missing, or its machine is down",
  ENETUNREACH: "there is no way to it: a route is missing, in the pod or on the node",
  EPERM: "rules in the pod's own namespace drop the question",
}

function silent({ pod }: PodPlan, nameserver: NameserverPlan, ways: readonly string[]): Symptom {
  const { address, asked } = nameserver
  const cause = causes[asked.find(({ refusal }) => refusal)?.refusal ?? "EIO"]
  return {
    kind: "nameserver-silent",
    attached: pod,
    family: address.family,
    ...said(nameserver, "does not answer"),
    evidence: [...evidenceOf(nameserver), ...ways],
    cause: cause ?? "it is down, or packets to it or from it are dropped: a policy, a rule, no masquerading",
    mend: `see that it runs (${KUBECTL} get endpoints kube-dns), then nft list ruleset`,
  }
}

const KUBECTL = "kubectl -n kube-system"

function evidenceOf(nameserver: NameserverPlan): string[] {
  const { address, source, asked } = nameserver
  return [...asked.map((one) => digEvidence(nameserver, one)), `${source}: nameserver ${formatAddress(address)}`]
}

function failing({ pod }: PodPlan, nameserver: NameserverPlan): Symptom {
  const { address } = nameserver
  return {
    kind: "nameserver-fails",
    attached: pod,
    family: address.family,
    ...said(nameserver, "answers that it cannot"),
    evidence: evidenceOf(nameserver),
    cause: "it does not reach the servers that it asks in turn, or it does not answer these pods",
    mend: `see its own log and resolv.conf (${KUBECTL} logs -l k8s-app=kube-dns)`,
  }
}
