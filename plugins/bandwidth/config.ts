import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { Limit } from "./token-bucket.ts"

/** The limits of one pod; undefined: that direction is not limited. */
export interface BandwidthConfig {
  /** Towards the pod. */
  readonly ingress: Limit | undefined
  /** From the pod. */
  readonly egress: Limit | undefined
  readonly egressMode: EgressMode
}

/** `police` drops packets on the host veth, `ifb` delays them on a link of its own; `auto` is police if the kernel has it. */
export type EgressMode = (typeof egressModes)[number]
const egressModes = ["auto", "police", "ifb"] as const

const DEFAULT_LATENCY = 25
const KEYS = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"]
/** The Go plugin refuses bursts of so many bytes: the kernel counts them in 32 bits. */
const MAX_BURST_BYTES = 2 ** 32 - 1
/** The least rate and burst: the kernel counts whole bytes. */
const MIN_BITS = 8

/** Reads the network's limits if it has any, else those that the runtime asks for this pod. */
export function readBandwidthConfig(fields: Fields): BandwidthConfig {
  const network = KEYS.some((key) => fields.has(key))
  const limits = network ? fields : fields.fields("runtimeConfig")?.fields("bandwidth")
  const shape = { maxBurst: fields.integer("maxBurst", { min: MIN_BITS }), latency: readLatency(fields) }
  return {
    ingress: limits && readLimit(limits, "ingress", shape),
    egress: limits && readLimit(limits, "egress", shape),
    egressMode: readMode(fields),
  }
}

interface Shape {
  readonly maxBurst: number | undefined
  readonly latency: number
}

function readLimit(fields: Fields, direction: "ingress" | "egress", { maxBurst, latency }: Shape): Limit | undefined {
  const rate = fields.integer(`${direction}Rate`, { min: 0 }) ?? 0
  const burst = fields.integer(`${direction}Burst`, { min: 0 }) ?? 0
  const refused = (key: "Rate" | "Burst", reason: string) => invalidConfig(fields.pathOf(direction + key), reason)
  if (rate !== 0 && burst === 0) throw refused("Burst", "if rate is set, burst must also be set")
  if (rate === 0 && burst !== 0) throw refused("Rate", "if burst is set, rate must also be set")
  if (Math.floor(burst / 8) >= MAX_BURST_BYTES) throw refused("Burst", "burst cannot be more than 4GB")
  if (rate === 0) return undefined
  if (rate < MIN_BITS) throw refused("Rate", `${rate} bit/s is less than a byte per second`)
  if (burst < MIN_BITS) throw refused("Burst", `${burst} bits are less than a byte`)
  return { rate, burst: Math.min(burst, maxBurst ?? burst), latency }
}

/** Returns milliseconds; an hour is more than any queue should hold. */
function readLatency(fields: Fields): number {
  return fields.integer("latency", { min: 1, max: 3_600_000 }) ?? DEFAULT_LATENCY
}

function readMode(fields: Fields): EgressMode {
  const name = fields.string("egressMode") || "auto"
  const mode = egressModes.find((known) => known === name)
  if (!mode) throw invalidConfig("egressMode", `${JSON.stringify(name)} is none of ${egressModes.join(", ")}`)
  return mode
}
