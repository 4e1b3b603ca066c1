import { CniError, code, invalidConfig } from "../../lib/cni/errors.ts"
import { openPod } from "../../lib/cni/netns.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { type Link, readLink } from "../../lib/netlink/route/link.ts"

/** The host end of the pod's interface, which the plugins before this one must have made and listed in their result. */
export function findHostVeth(host: NetworkStack, { environment }: Call, { interfaces }: Result): Link {
  if (interfaces.length === 0) throw invalidConfig("prevResult", "no interfaces provided")
  const { netns, ifname } = environment
  using pod = openPod(netns)
  const inPod = readLink(pod.kernel, ifname)
  if (!inPod) throw missing(`container interface ${ifname} does not exist in ${netns}`)
  if (inPod.kind !== "veth" || inPod.peer === 0) {
    throw missing(`container interface ${ifname} has no veth peer: it is of kind ${inPod.kind || "hardware"}`)
  }
  const veth = readLink(host.kernel, inPod.peer)
  if (veth?.kind !== "veth" || veth.peer !== inPod.index) {
    throw missing(`veth peer with index ${inPod.peer} is not in host ns`)
  }
  if (interfaces.some(({ name, sandbox }) => name === veth.name && sandbox === "")) return veth
  throw missing(`no veth peer of container interface found in host ns: ${veth.name} is not in prevResult`)
}

function missing(message: string): CniError {
  return new CniError(
    code.conflict,
    message,
    "bandwidth limits interfaces made by bridge, ptp and others that make veth pairs",
  )
}
