import { ownerOf } from "../../lib/cni/attachment.ts"
import { readPrevResult } from "../../lib/cni/config.ts"
import { invalidConfig, unsupportedField } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { Undo } from "../../lib/net/undo.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import { type EgressMode, readBandwidthConfig } from "./config.ts"
import { findHostVeth } from "./host-veth.ts"
import { limitIngress, policeEgress, readTicks, redirectEgress } from "./shaping.ts"
import { type Limit, policed, tokenBucketOf } from "./token-bucket.ts"

/** Limits what the pod receives and sends, or leaves it as it was. Done again, it sets the limits anew. */
export function add(call: Call): Result {
  const { ingress, egress, egressMode } = readBandwidthConfig(call.config.fields)
  const result = readPrevResult(call.config)
  if (!result) throw invalidConfig("prevResult", "must be called as chained plugin", "put it behind bridge or ptp")
  if (!ingress && !egress) return result

  using host = NetworkStack.host()
  using undo = new Undo()
  const veth = findHostVeth(host, call, result)
  const ticks = readTicks()
  if (ingress) limitIngress(host, veth, tokenBucketOf(ingress, ticks), undo)
  const ifb = egress && limitEgress(host, { call, veth, mode: egressMode, limit: egress, ticks, undo })
  undo.keep()
  return ifb ? withInterface(result, ifb) : result
}

interface Egress {
  readonly call: Call
  readonly veth: Link
  readonly mode: EgressMode
  readonly limit: Limit
  readonly ticks: number
  readonly undo: Undo
}

/** Returns the ifb where one was needed. */
function limitEgress(host: NetworkStack, { call, veth, mode, limit, ticks, undo }: Egress): Link | undefined {
  if (mode !== "ifb" && policeEgress(host, veth, tokenBucketOf(policed(limit), ticks), undo)) return undefined
  if (mode === "police") {
    const instead = 'load the module act_police, or say "egressMode": "ifb"'
    throw unsupportedField("egressMode", '"police": this kernel has no act_police', instead)
  }
  return redirectEgress(host, veth, { bucket: tokenBucketOf(limit, ticks), owner: ownerOf(call), undo })
}

function withInterface(result: Result, { name, mac }: Link): Result {
  return { ...result, interfaces: [...result.interfaces, { name, mac: formatMac(mac), sandbox: "" }] }
}
