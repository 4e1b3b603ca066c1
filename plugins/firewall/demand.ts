import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { type Address, type Family, families } from "../../lib/ip/address.ts"
import type { FirewallConfig } from "./config.ts"

/** The addresses of a pod in one family, each once. */
export interface Demand {
  readonly family: Family
  readonly addresses: readonly Address[]
}

/** Whom a bridge keeps apart. */
export interface BridgePolicy {
  readonly name: "same-bridge" | "isolated"
  readonly bridge: string
  /** The pod's host ends, which are ports of the bridge. */
  readonly ports: readonly string[]
}

/** The demands of a pod that rules have to meet. */
export interface Wanted {
  /** One for each family of which the pod has an address. */
  readonly demands: readonly Demand[]
  readonly adminChain: string
  /** Undefined if its bridge is open. */
  readonly policy: BridgePolicy | undefined
}

/** Returns what the pod of that result needs. Throws code 7. */
export function wantedOf(config: FirewallConfig, result: Result): Wanted {
  return { demands: demandsOf(result), adminChain: config.adminChain, policy: policyOf(config, result) }
}

function demandsOf({ ips }: Result): Demand[] {
  return families.flatMap((family) => {
    const values = new Set(
      ips.filter(({ address }) => address.address.family === family).map((ip) => ip.address.address.value),
    )
    return values.size > 0 ? { family, addresses: Array.from(values, (value) => ({ family, value })) } : []
  })
}

/** Returns the policy of the pod's bridge, which `bridge` lists first. */
function policyOf({ ingressPolicy: name }: FirewallConfig, { interfaces }: Result): BridgePolicy | undefined {
  if (name === "open") return undefined
  const advice = 'chain "firewall" behind "bridge", or remove the key'
  const [first, ...others] = interfaces
  if (!first?.name) {
    throw invalidConfig("ingressPolicy", `interface needs to be set for ingress policy ${JSON.stringify(name)}`, advice)
  }
  // A pod's interface may be called as one of the node's.
  if (first.sandbox !== "") {
    const problem = `${JSON.stringify(name)} needs a bridge, and the first interface of prevResult, ${JSON.stringify(first.name)}, is the pod's own`
    throw invalidConfig("ingressPolicy", problem, advice)
  }
  const ports = others.filter(({ sandbox, name: port }) => sandbox === "" && port !== "").map(({ name: port }) => port)
  return { name, bridge: first.name, ports }
}
