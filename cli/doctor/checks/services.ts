import { targetIn } from "../../../lib/netlink/netfilter/expression.ts"
import type { Ruleset } from "../../survey/ruleset.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds bridges whose pods get no answer from services that run on the same bridge: kube-proxy has to see the answers. */
export const checkServices: Check = function* (survey: Survey, subject): Generator<Finding> {
  const bridged = survey.attached.filter(({ list }) => list?.plugins[0]?.type === "bridge")
  const [first] = bridged
  const name = "net/bridge/bridge-nf-call-iptables"
  const { ruleset } = survey
  if (subject || !first || !ruleset || survey.attempt(() => isServed(ruleset)) !== true) return
  const value = survey.attempt(() => ({ text: survey.host.readSysctl(name) }))
  if (!value || value.text === "1") return
  yield {
    kind: "no-bridge-nf",
    about: first.network,
    problem: "its pods get no answer from services whose pod is on the same bridge",
    evidence: [
      "kube-proxy leads services to pods on this node",
      `sysctl ${name.replaceAll("/", ".")}: ${value.text ?? "no such setting"}`,
    ],
    cause: "the answer stays on the bridge, so that it keeps the address of the pod in place of the service's",
    mend: `modprobe br_netfilter, and sysctl -w ${name.replaceAll("/", ".")}=1`,
  }
}

/** Says if kube-proxy, by iptables or nftables, has rules here. */
function isServed(ruleset: Ruleset): boolean {
  if (ruleset.baseChains.some(({ table }) => table.family === "ip" && table.name === "kube-proxy")) return true
  const rules = ruleset.rulesOf({ table: { family: "ip", name: "nat" }, name: "PREROUTING" })
  return rules.some((rule) => targetIn(rule.expressions()) === "KUBE-SERVICES")
}
