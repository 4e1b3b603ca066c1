import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { isOwnChain } from "./chains.ts"

/** The network's firewall. */
export interface FirewallConfig {
  /** Undefined if the plugin is to choose. */
  readonly backend: Backend | undefined
  /** The zone of firewalld that pods' addresses are put into. */
  readonly zone: string
  /** The chain whose rules, which are the administrator's, come before those of the pods. */
  readonly adminChain: string
  readonly ingressPolicy: IngressPolicy
}

export type Backend = (typeof backends)[number]
const backends = ["iptables", "nftables", "firewalld"] as const

/** The peers that may begin to talk to a pod: everybody, the pods of its own bridge and the node, or the node alone. */
export type IngressPolicy = (typeof policies)[number]
const policies = ["open", "same-bridge", "isolated"] as const

const DEFAULT_ADMIN_CHAIN = "CNI-ADMIN"
const DEFAULT_ZONE = "trusted"
/** XT_EXTENSION_MAXNAMELEN less the final NUL: iptables has no longer names. */
const MAX_CHAIN_BYTES = 28
/** Names that mean something else behind `-j`, or chains that are left by them. */
const NO_CHAINS = ["ACCEPT", "DROP", "RETURN", "QUEUE", "INPUT", "FORWARD", "OUTPUT"]

/** Reads and checks the configuration. */
export function readFirewallConfig({ fields }: NetworkConfig): FirewallConfig {
  return {
    backend: readBackend(fields),
    zone: readZone(fields),
    adminChain: readAdminChain(fields),
    ingressPolicy: readPolicy(fields),
  }
}

/** Returns the two keys that say where rules may be, of a configuration that need not make sense: what cannot be read is as if left out. */
export function readablePlaces({ fields }: NetworkConfig): Pick<FirewallConfig, "backend" | "zone"> {
  const readable = <Value>(read: (fields: Fields) => Value): Value | undefined => {
    try {
      return read(fields)
    } catch {
      return undefined
    }
  }
  return { backend: readable(readBackend), zone: readable(readZone) ?? DEFAULT_ZONE }
}

/** Reads the back end. To the Go plugin every other name means that it chooses. */
function readBackend(fields: Fields): Backend | undefined {
  const name = fields.string("backend")
  if (name === undefined || name === "") return undefined
  const backend = backends.find((known) => known === name)
  if (backend) return backend
  throw invalidConfig("backend", `${JSON.stringify(name)} is none of ${backends.join(", ")}`)
}

/** Reads the zone; of any name that firewalld could know. */
function readZone(fields: Fields): string {
  const zone = fields.string("firewalldZone") || DEFAULT_ZONE
  if (/^[\x21-\x7e]{1,64}$/.test(zone)) return zone
  throw invalidConfig("firewalldZone", `${JSON.stringify(zone)} is no name of a zone`)
}

function readAdminChain(fields: Fields): string {
  const key = "iptablesAdminChainName"
  const name = fields.string(key) || DEFAULT_ADMIN_CHAIN
  if (/^[-!]|[^\x21-\x7e]/.test(name)) throw invalidConfig(key, `${JSON.stringify(name)} is no name of a chain`)
  if (name.length > MAX_CHAIN_BYTES) throw invalidConfig(key, `${name} is longer than ${MAX_CHAIN_BYTES} characters`)
  if (NO_CHAINS.includes(name) || isOwnChain(name)) throw invalidConfig(key, `${name} is not an administrator's chain`)
  return name
}

function readPolicy(fields: Fields): IngressPolicy {
  const name = fields.string("ingressPolicy") || "open"
  const policy = policies.find((known) => known === name)
  if (policy) return policy
  throw invalidConfig(
    "ingressPolicy",
    `unknown ingress policy: ${JSON.stringify(name)}`,
    `known are ${policies.join(", ")}`,
  )
}
