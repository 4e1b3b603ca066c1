import { collectMacGuards, planMacGuardRemoval } from "../net/mac-guard.ts"
import { collectMasquerade, planMasqueradeRemoval } from "../net/masquerade.ts"
import { hostVethName, isOwnedBy, isOwnedIn, isOwnerAlias, networkVethPrefix } from "../net/names.ts"
import { NetworkStack } from "../net/stack.ts"
import { cleanUp } from "../netlink/netfilter/transaction.ts"
import { listLinks, readLink, removeLink } from "../netlink/route/link.ts"
import { openPodIfPresent } from "./netns.ts"
import { ownerOf } from "./owner.ts"
import type { Call } from "./plugin.ts"
import { readValidAttachments, reasonToCollect } from "./result-read.ts"

/**
 * Removes the attachment's rules and its veth pair, whoever made them; none is fine. Rules go first: the kernel takes longer to free them
 * while it is freeing a veth. The pair is known by the name of its host end: the pod may have renamed its own, and use the name for
 * something else.
 */
export function removeVeth(call: Call): void {
  using host = NetworkStack.host()
  const owner = ownerOf(call)
  cleanUp(host.netfilter, () => [...planMasqueradeRemoval(host.netfilter, owner), ...planMacGuardRemoval(host, owner)])
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

/** Removes this network's rules and veths that belong to no attachment the runtime knows (GC), wherever they are attached by now. */
export function collectVeths({ config, log }: Call): void {
  const { name: network, fields } = config
  const attachments = readValidAttachments(fields)
  const valid = new Set(attachments.map((attachment) => hostVethName({ network, ...attachment })))
  using host = NetworkStack.host()
  const rules = [...collectMasquerade(host, network, attachments), ...collectMacGuards(host, network, valid)]
  for (const comment of rules) log.removed(`a rule (${JSON.stringify(comment)})`, reasonToCollect(fields))
  const prefix = networkVethPrefix(network)
  for (const { kind, name, alias, index } of listLinks(host.kernel).links) {
    const ours = kind === "veth" && name.startsWith(prefix) && isOwnedIn(alias, network)
    if (!ours || valid.has(name) || !removeLink(host.kernel, index)) continue
    log.removed(`${name} (${JSON.stringify(alias)})`, reasonToCollect(fields))
  }
}
