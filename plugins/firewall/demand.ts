import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { type Family, families } from "../../lib/ip/address.ts"
import type { IptablesRule } from "../../lib/netlink/netfilter/xtables/rule.ts"
import type { FirewallConfig } from "./config.ts"
import { bridgeRules, podRules, type Shared, toAdmin } from "./rules.ts"

/** The rules that a pod needs in one family. */
export interface Demand {
  readonly family: Family
  /** The pod's own, in the order in which they are made. */
  readonly pod: readonly IptablesRule[]
  /** Rules that other pods need too, the way from FORWARD aside. */
  readonly shared: readonly Shared[]
  /** Set if bridges have rules, which must come before those of the pods. */
  readonly hasPolicy: boolean
}

/** Returns what the pod of that result needs, in each family of which it has an address. Throws code 7. */
export function demandsOf(config: FirewallConfig, { interfaces, ips }: Result): Demand[] {
  const { adminChain, ingressPolicy } = config
  const ofBridge = ingressPolicy === "open" ? [] : bridgeRules(bridgeIn(ingressPolicy, interfaces), ingressPolicy)
  const shared = [toAdmin(adminChain), ...ofBridge]
  return families.flatMap((family) => {
    const values = new Set(
      ips.filter(({ address }) => address.address.family === family).map((ip) => ip.address.address.value),
    )
    const pod = [...values].flatMap((value) => podRules({ family, value }))
    return pod.length > 0 ? { family, pod, shared, hasPolicy: ingressPolicy !== "open" } : []
  })
}

/** Returns the name of the pod's bridge, which `bridge` lists first. A pod's interface may be called as one of the node's. */
function bridgeIn(policy: string, [first]: Result["interfaces"]): string {
  const advice = 'chain "firewall" behind "bridge", or remove the key'
  if (!first?.name) {
    throw invalidConfig(
      "ingressPolicy",
      `interface needs to be set for ingress policy ${JSON.stringify(policy)}`,
      advice,
    )
  }
  if (first.sandbox !== "") {
    const problem = `${JSON.stringify(policy)} needs a bridge, and the first interface of prevResult, ${JSON.stringify(first.name)}, is the pod's own`
    throw invalidConfig("ingressPolicy", problem, advice)
  }
  return first.name
}
