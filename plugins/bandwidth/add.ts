import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import { unsupportedField } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import type { BandwidthConfig } from "./config.ts"
import { findHostVeth } from "./host-veth.ts"
import type { NewIfb } from "./ifb.ts"
import { limitIngress, policeEgress, redirectEgress } from "./shaping.ts"
import { type Limit, policed, tokenBucketOf } from "./token-bucket.ts"

/** Limits what the pod receives and sends. A repeated ADD replaces the limits. */
export function add(context: ChainedAddContext<BandwidthConfig>, result: Result): Result {
  const { call, config, host, undo } = context
  const veth = findHostVeth(host, call, result)
  if (config.ingress) limitIngress(host, veth, tokenBucketOf(config.ingress), undo)
  const ifb = config.egress && limitEgress(context, veth, config.egress)
  return ifb ? withInterface(result, ifb) : result
}

/** Limits what the pod sends. Returns the ifb if one was needed. */
function limitEgress(context: ChainedAddContext<BandwidthConfig>, veth: Link, limit: Limit): NewIfb | undefined {
  const { config, attachment, host, undo } = context
  const mode = config.egressMode
  if (mode !== "ifb" && policeEgress(host, veth, tokenBucketOf(policed(limit)), undo)) return undefined
  if (mode === "police") {
    const instead = 'load the module act_police, or say "egressMode": "ifb"'
    throw unsupportedField("egressMode", '"police": this kernel has no act_police', instead)
  }
  return redirectEgress(host, veth, { bucket: tokenBucketOf(limit), attachment, undo })
}

function withInterface(result: Result, { name, mac }: NewIfb): Result {
  return { ...result, interfaces: [...result.interfaces, { name, mac: formatMac(mac), sandbox: "" }] }
}
