import { collectMacGuards, planMacGuardRemoval } from "../net/mac-guard.ts"
import { collectMasquerade, planMasqueradeRemoval } from "../net/masquerade.ts"
import { hostVethName, isHostVethNameIn, isOwnedBy, isOwnedIn, isOwnerAlias, type Owner } from "../net/names.ts"
import { NetworkStack } from "../net/stack.ts"
import { cleanUp } from "../netlink/netfilter/transaction.ts"
import { listLinks, readLink, removeLink } from "../netlink/route/link.ts"
import { findDelegate } from "./delegate.ts"
import { readIpamType } from "./interface-keys.ts"
import { openPodIfPresent } from "./netns.ts"
import { ownerOf } from "./owner.ts"
import type { Call } from "./plugin.ts"
import { readValidAttachments, reasonToCollect } from "./result-read.ts"

/**
 * DEL of a plugin whose pods hang on veth pairs: removes the attachment, whoever made it and whatever is left of it. It needs neither the
 * namespace nor a previous result, and only as much of the configuration as names the IPAM plugin: a config that would fail ADD must not
 * keep a pod from being cleaned up. The addresses are released last, so that nobody gets them while this pod may still use them.
 */
export function removeAttachment(call: Call): void {
  const ipamType = readIpamType(call.config.fields)
  removeVeth(call)
  if (ipamType !== "") findDelegate(call, ipamType).del()
}

/** GC of such a plugin: what belongs to no attachment the runtime knows goes, then IPAM does the same with its leases. */
export function collectAttachments(call: Call): void {
  const ipamType = readIpamType(call.config.fields)
  collectVeths(call)
  if (ipamType !== "") findDelegate(call, ipamType).gc()
}

/**
 * Removes the attachment's rules and its veth pair; none is fine. Rules go first: the kernel takes longer to free them while it is freeing
 * a veth. The pair is known by the name of its host end: the pod may have renamed its own, and use the name for something else.
 */
function removeVeth(call: Call): void {
  using host = NetworkStack.host()
  const owner = ownerOf(call)
  cleanUp(host.netfilter, () => [...planMasqueradeRemoval(host.netfilter, owner), ...planMacGuardRemoval(host, owner)])
  const veth = readLink(host.kernel, hostVethName(owner))
  if (veth?.kind === "veth" && isOwnedBy(veth.alias, owner) && removeLink(host.kernel, veth.index)) return
  using pod = openPodIfPresent(call.environment.netns)
  if (pod) removeVethOfOtherName(host, pod, owner)
}

/**
 * The Go plugin's veth has a random name on the host, and ours may have been renamed. One that says it is another's belongs to another
 * network of the pod.
 */
function removeVethOfOtherName(host: NetworkStack, pod: NetworkStack, owner: Owner): void {
  const inPod = readLink(pod.kernel, owner.ifname)
  if (inPod?.kind !== "veth") return
  const alias = readLink(host.kernel, inPod.peer)?.alias ?? ""
  if (isOwnedBy(alias, owner) || !isOwnerAlias(alias)) removeLink(pod.kernel, inPod.index)
}

/** Removes this network's rules and veths that belong to no attachment the runtime knows, wherever they are attached by now. */
function collectVeths({ config, log }: Call): void {
  const { name: network, fields } = config
  const attachments = readValidAttachments(fields)
  const valid = new Set(attachments.map((attachment) => hostVethName({ network, ...attachment })))
  using host = NetworkStack.host()
  const rules = [...collectMasquerade(host, network, attachments), ...collectMacGuards(host, network, valid)]
  for (const comment of rules) log.removed(`a rule (${JSON.stringify(comment)})`, reasonToCollect(fields))
  for (const { kind, name, alias, index } of listLinks(host.kernel).links) {
    const ours = kind === "veth" && isHostVethNameIn(name, network) && isOwnedIn(alias, network)
    if (!ours || valid.has(name) || !removeLink(host.kernel, index)) continue
    log.removed(`${name} (${JSON.stringify(alias)})`, reasonToCollect(fields))
  }
}
