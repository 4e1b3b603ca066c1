import { readIpamType } from "../../lib/attachment/interface-keys.ts"
import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isOfAttachment } from "../../lib/attachment/same-pod.ts"
import { ownerOf } from "../../lib/cni/attachment.ts"
import { findDelegate } from "../../lib/cni/delegate.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { removePodMacvlan } from "./pod-macvlan.ts"

/**
 * Removes the attachment, whoever made it and whatever is left of it, then has IPAM release its addresses. With the pod's namespace the
 * macvlan is gone too. Of the configuration only what names the IPAM plugin has to make sense.
 */
export function del(call: Call): void {
  const ipamType = readIpamType(call.config.fields)
  {
    using pod = openPodIfPresent(call.environment.netns)
    if (pod) removePodMacvlan(pod, ownerOf(call), (link) => isOfAttachment(call, link))
  }
  if (ipamType !== "") findDelegate(call, ipamType).del()
}
