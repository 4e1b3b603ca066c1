import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import { readLink } from "../../lib/netlink/route/link.ts"
import type { VrfConfig } from "./config.ts"
import { readVrf } from "./vrf-link.ts"

/** Returns if the interface is a port of the VRF, which is up; throws the first difference. */
export function check({ call, config, attachment, openPod }: ChainedCheckContext<VrfConfig>): void {
  const { vrfName, table } = config
  const { ifname } = attachment
  const pod = openPod()
  const vrf = readVrf(pod, vrfName)
  if (!vrf) throw changed(`VRF ${vrfName} is gone from ${call.environment.netns}`)
  if (table !== 0 && vrf.vrfTable !== table) throw changed(`table of VRF ${vrfName} is ${vrf.vrfTable}, not ${table}`)
  if (!vrf.up) throw changed(`VRF ${vrfName} is down`)
  const link = readLink(pod.rtnetlink, ifname)
  if (!link) throw changed(`interface ${ifname} is gone from ${call.environment.netns}`)
  if (link.master !== vrf.index) throw changed(`interface ${ifname} is not in VRF ${vrfName}`)
}
