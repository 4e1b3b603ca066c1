import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import type { Police, Redirect } from "../../lib/netlink/tc/action.ts"
import { listFilters } from "../../lib/netlink/tc/filter.ts"
import { readQdisc, type TokenBucket } from "../../lib/netlink/tc/qdisc.ts"
import type { BandwidthConfig } from "./config.ts"
import { findHostVeth } from "./host-veth.ts"
import { readIfb } from "./ifb.ts"
import { type Limit, policed, tokenBucketOf, wrappedTokenBucketOf } from "./token-bucket.ts"

/** Returns if both limits are as ADD, ours or the Go plugin's, left them; throws the first difference. */
export function check(context: ChainedCheckContext<BandwidthConfig>, result: Result): void {
  const { call, config, host } = context
  const veth = findHostVeth(host, call, result)
  checkTokenBucket(host, veth, config.ingress)
  checkEgress(context, veth)
}

/** Throws unless the link sends through a token bucket with the limit's parameters, or, without a limit, through none. */
function checkTokenBucket({ rtnetlink }: NetworkStack, link: Link, limit: Limit | undefined): void {
  const qdisc = readQdisc(rtnetlink, link.index, "ROOT")
  const bucket = qdisc?.tokenBucket
  if (!limit) {
    if (bucket) throw changed(`${link.name} has a token bucket, though the config limits nothing there`)
    return
  }
  if (!qdisc) throw changed(`${link.name} has no token bucket: nothing limits what it sends`)
  if (!bucket) throw changed(`the root qdisc of ${link.name} is ${qdisc.kind}, not tbf`)
  compare(`the token bucket of ${link.name}`, bucket, limit)
}

/** Throws if a value is neither ours nor the Go plugin's, whose values wrap around. */
function compare(what: string, present: Partial<TokenBucket>, limit: Limit): void {
  const ours = tokenBucketOf(limit)
  const units = { rate: "bytes/s", buffer: "ticks", limit: "bytes" } as const
  for (const key of ["rate", "buffer", "limit"] as const) {
    const value = present[key]
    if (value === undefined || value === ours[key]) continue
    if (value === wrappedTokenBucketOf(limit)[key]) continue
    throw changed(`${key} of ${what} is ${value} ${units[key]}, not ${ours[key]}`)
  }
}

/** Throws unless the pod's egress is policed or redirected to the attachment's ifb, within the limit. */
function checkEgress(context: ChainedCheckContext<BandwidthConfig>, veth: Link): void {
  const { config, attachment, host } = context
  const { egress: limit, egressMode: mode } = config
  const action = readEgress(host, veth)
  if (!limit) {
    if (action)
      throw changed(`what ${veth.name} receives goes through ${action.kind}, though the config does not limit it`)
    return
  }
  if (!action)
    throw changed(`${veth.name} has no filter that polices or redirects all it receives: nothing limits the pod`)
  if (mode !== "auto" && mode !== (action.kind === "police" ? "police" : "ifb")) {
    throw changed(`egress of ${veth.name} is limited by ${action.kind}, not by ${mode}`)
  }
  if (action.kind === "police") {
    compare(`the policing of ${veth.name}`, { rate: action.rate, buffer: action.burst }, policed(limit))
    return
  }
  const ifb = readIfb(host, attachment)
  if (!ifb) throw changed("get ifb device: it is gone")
  if (action.to !== ifb.index)
    throw changed(`what ${veth.name} receives is redirected to link ${action.to}, not to ${ifb.name}`)
  if (!ifb.up) throw changed(`${ifb.name} is down`)
  checkTokenBucket(host, ifb, limit)
}

/** Returns the first action on all that the link receives. */
function readEgress({ rtnetlink }: NetworkStack, veth: Link): Police | Redirect | undefined {
  const action = listFilters(rtnetlink, veth.index).find(({ matchesAll }) => matchesAll)?.action
  return action?.kind === "other" ? undefined : action
}
