import { invalidConfig, unsupportedField } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { isOwnChain } from "./rules.ts"

/** The network's firewall. */
export interface FirewallConfig {
  /** Undefined if the plugin is to choose: firewalld may be meant then. */
  readonly backend: "iptables" | undefined
  /** The chain whose rules, which are the administrator's, come before those of the pods. */
  readonly adminChain: string
  readonly ingressPolicy: IngressPolicy
}

/** The peers that may begin to talk to a pod: everybody, the pods of its own bridge and the node, or the node alone. */
export type IngressPolicy = (typeof policies)[number]
const policies = ["open", "same-bridge", "isolated"] as const

const DEFAULT_ADMIN_CHAIN = "CNI-ADMIN"
/** XT_EXTENSION_MAXNAMELEN less the final NUL: iptables has no longer names. */
const MAX_CHAIN_BYTES = 28
/** Names that mean something else behind `-j`, or chains that are left by them. */
const NO_CHAINS = ["ACCEPT", "DROP", "RETURN", "QUEUE", "INPUT", "FORWARD", "OUTPUT"]

/** Reads and checks the configuration. */
export function readFirewallConfig({ fields }: NetworkConfig): FirewallConfig {
  fields.string("firewalldZone") // counts with firewalld alone
  return { backend: readBackend(fields), adminChain: readAdminChain(fields), ingressPolicy: readPolicy(fields) }
}

/** To the Go plugin every other name, as Podman's "nftables" once was, means that it chooses. */
function readBackend(fields: Fields): "iptables" | undefined {
  const backend = fields.string("backend")
  if (backend === "iptables") return backend
  if (backend === undefined || backend === "" || backend === "nftables") return undefined
  if (backend !== "firewalld") {
    throw invalidConfig("backend", `${JSON.stringify(backend)} is none of iptables, nftables`)
  }
  const advice =
    'this plugin has no D-Bus: put the pods\' subnet in a zone yourself (firewall-cmd --permanent --zone=trusted --add-source=SUBNET, then firewall-cmd --reload) and say "iptables"'
  throw unsupportedField("backend", JSON.stringify(backend), advice)
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
