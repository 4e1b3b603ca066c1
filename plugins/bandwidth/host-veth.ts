import { isHostEnd } from "../../lib/attachment/host-end.ts"
import { isHostVethOf } from "../../lib/attachment/names.ts"
import { openPod } from "../../lib/attachment/pod-stack.ts"
import { attachmentOf } from "../../lib/cni/attachment.ts"
import { CniError, code, invalidConfig } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { type Link, readLink } from "../../lib/netlink/route/link.ts"

/**
 * Returns the host end of the pod's interface, which an earlier plugin in the chain has to have made and listed in its result. A veth of
 * ours is known by its name, and the pod is not read. A veth of others has to be the peer of the pod's interface.
 */
export function findHostVeth(host: NetworkStack, call: Call, { interfaces }: Result): Link {
  if (interfaces.length === 0) throw invalidConfig("prevResult", "no interfaces provided")
  const attachment = attachmentOf(call)
  const isListed = (link: string) => interfaces.some(({ name, sandbox }) => name === link && sandbox === "")
  const computed = interfaces.find(({ name, sandbox }) => sandbox === "" && isHostVethOf(name, attachment))
  const own = computed && readLink(host.rtnetlink, computed.name)
  if (own && isHostEnd(host, own, attachment, undefined)) return own
  using pod = openPod(call.environment.netns)
  const veth = readPeer(host, pod, call)
  if (!isListed(veth.name)) {
    throw missing(`no veth peer of container interface found in host ns: ${veth.name} is not in prevResult`)
  }
  if (isHostEnd(host, veth, attachment, pod.namespace?.fd)) return veth
  throw missing(
    `${veth.name}, which ${attachment.ifname} names as its other end, is not the host end of this interface`,
  )
}

/** Returns the node's veth that is the peer of the pod's interface, and that has this as its peer. */
function readPeer(host: NetworkStack, pod: NetworkStack, { environment }: Call): Link {
  const { netns, ifname } = environment
  const inPod = readLink(pod.rtnetlink, ifname)
  if (!inPod) throw missing(`container interface ${ifname} does not exist in ${netns}`)
  if (inPod.kind !== "veth" || inPod.peer === 0) {
    throw missing(`container interface ${ifname} has no veth peer: it is of kind ${inPod.kind || "hardware"}`)
  }
  const veth = readLink(host.rtnetlink, inPod.peer)
  if (veth?.kind === "veth" && veth.peer === inPod.index) return veth
  throw missing(`veth peer with index ${inPod.peer} is not in host ns`)
}

function missing(message: string): CniError {
  return new CniError(
    code.conflict,
    message,
    "bandwidth limits interfaces made by bridge, ptp and others that make veth pairs",
  )
}
