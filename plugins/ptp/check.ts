import { checkHostEnd, checkPodInterface, checkPodNetwork, ownIps } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { masqueradeProblem } from "../../lib/attachment/masquerade.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { IpConfig, Result } from "../../lib/cni/result.ts"
import { families } from "../../lib/ip/address.ts"
import { formatPrefix, hostPrefix, samePrefix } from "../../lib/ip/prefix.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { listAddresses } from "../../lib/netlink/route/address.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import { listRoutes, RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"
import type { PtpConfig } from "./config.ts"

/** Returns if both ends of the pod's veth pair are as ADD left them; throws the first difference. */
export function check({ call, config, attachment, host, pod }: CheckContext<PtpConfig>, result: Result): void {
  const inPod = checkPodInterface(pod, call, result, "veth")
  const veth = checkHostEnd({ host, pod }, inPod.link, call, result)
  const own = ownIps(result, inPod.position)
  checkGateways(host, veth, own)
  checkHostRoutes(host, veth, own)
  checkPodNetwork(pod, inPod, result)
  const addresses = own.map(({ address }) => address)
  const problem = config.ipMasq && masqueradeProblem(host, { attachment, backend: config.ipMasq, addresses })
  if (problem) throw changed(problem)
}

function checkGateways(host: NetworkStack, veth: Link, ips: readonly IpConfig[]): void {
  const present = listAddresses(host.rtnetlink, veth.index)
  for (const { gateway } of ips) {
    const wanted = gateway && hostPrefix(gateway)
    if (wanted && !present.some(({ prefix }) => samePrefix(prefix, wanted))) {
      throw changed(`gateway address ${formatPrefix(wanted)} is missing on ${veth.name}`)
    }
  }
}

function checkHostRoutes(host: NetworkStack, veth: Link, ips: readonly IpConfig[]): void {
  for (const family of families) {
    const wanted = ips
      .map(({ address }) => hostPrefix(address.address))
      .filter(({ address }) => address.family === family)
    if (wanted.length === 0) continue
    const present = listRoutes(host.rtnetlink, family, RT_TABLE_MAIN, veth.index)
    const missing = wanted.find((prefix) => !present.some(({ dst }) => samePrefix(dst, prefix)))
    if (missing) throw changed(`route to ${formatPrefix(missing)} by ${veth.name} is missing on the node`)
  }
}
