import { findDelegate } from "../../lib/cni/delegate.ts"
import { openPodIfPresent } from "../../lib/cni/netns.ts"
import { ownerOf } from "../../lib/cni/owner.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { hostVethName, isOwnedBy, isOwnerAlias } from "../../lib/net/names.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { readIpamType } from "./config.ts"

/**
 * Removes the attachment, whoever made it and whatever is left of it. It needs neither the namespace nor a previous result, and only as
 * much of the configuration as names the IPAM plugin: a config that would fail ADD must not keep a pod from being cleaned up.
 * The addresses are released last, so that nobody gets them while this pod may still use them.
 */
export function del(call: Call): void {
  const ipamType = readIpamType(call.config.fields)
  removeVeth(call)
  if (ipamType !== "") findDelegate(call, ipamType).del()
}

/** The veth is known by the name of its host end: the pod may have renamed its own, and use the name for something else. */
function removeVeth(call: Call): void {
  using host = NetworkStack.host()
  const owner = ownerOf(call)
  const veth = readLink(host.kernel, hostVethName(owner))
  if (veth?.kind === "veth" && isOwnedBy(veth.alias, owner) && removeLink(host.kernel, veth.index)) return
  using pod = openPodIfPresent(call.environment.netns)
  if (pod) removeForeignVeth(host, pod, owner.ifname)
}

/** The Go plugin's veth has a random name on the host. One that says whose it is belongs to another network of the pod. */
function removeForeignVeth(host: NetworkStack, pod: NetworkStack, ifname: string): void {
  const inPod = readLink(pod.kernel, ifname)
  if (inPod?.kind !== "veth") return
  const onHost = readLink(host.kernel, inPod.peer)
  if (!onHost || !isOwnerAlias(onHost.alias)) removeLink(pod.kernel, inPod.index)
}
