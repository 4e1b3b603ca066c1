import { collectMacGuards, planMacGuardRemoval } from "../../plugins/bridge/mac-guard.ts"
import { ownerOf } from "../cni/attachment.ts"
import { findDelegate } from "../cni/delegate.ts"
import { Failures } from "../cni/failures.ts"
import type { Call } from "../cni/plugin.ts"
import { readSurvivors, type Survivors } from "../cni/valid-attachments.ts"
import { Conflict } from "../net/conflict.ts"
import { removeWithChains, together } from "../net/foreign-jumps.ts"
import { NetworkStack } from "../net/stack.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { changeLink, type Link, listLinks, readLink, removeLink } from "../netlink/route/link.ts"
import { readIpamType } from "./interface-keys.ts"
import { collectMasquerade, planMasqueradeRemoval } from "./masquerade.ts"
import { hostVethName, isHostVethNameIn, isOwnedBy, isOwnedIn, isOwnerAlias, type Owner, ownerAlias } from "./names.ts"
import { openPodIfPresent } from "./pod-stack.ts"
import { isOfAttachment } from "./same-pod.ts"

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
  const survivors = readSurvivors(call)
  const failures = new Failures()
  collectVeths(call, survivors, failures)
  if (ipamType !== "") failures.attempt(() => findDelegate(call, ipamType).gc())
  failures.rethrow()
}

/**
 * Removes the attachment's rules and its veth pair; none is fine. Rules go first: the kernel takes longer to free them while it is freeing
 * a veth. A pod that has a guard is silenced before. The pair is known by the name of its host end: the pod may have renamed its own, and use
 * the name for something else.
 */
function removeVeth(call: Call): void {
  using host = NetworkStack.host()
  const owner = ownerOf(call)
  const found = readLink(host.kernel, hostVethName(owner))
  const veth = found?.kind === "veth" && isOwnedBy(found.alias, owner) ? found : undefined
  const held = removeWithChains(host.netfilter, () => {
    const guard = planMacGuardRemoval(host, owner)
    if (veth && guard.chains.length > 0) silence(host, veth)
    return together([planMasqueradeRemoval(host.netfilter, owner), guard])
  })
  for (const { words } of held) call.log.noticed(words) // an empty chain harms nobody, and a DEL that fails keeps the pod
  if (veth && removeLink(host.kernel, veth.index)) return
  using pod = openPodIfPresent(call.environment.netns)
  if (pod) removeVethOfOtherName(host, pod, call)
}

/** Nothing comes out of the pod any more. The veth may be gone. */
function silence({ kernel }: NetworkStack, { index, name }: Link): void {
  try {
    changeLink(kernel, index, name, { up: false })
  } catch (error) {
    if (!refusedWith(error, "ENODEV")) throw error
  }
}

/**
 * The Go plugin's veth has a random name on the host, and ours may have been renamed. One that says it is another's belongs to another
 * network of the pod, or to another pod.
 */
function removeVethOfOtherName(host: NetworkStack, pod: NetworkStack, call: Call): void {
  const owner = ownerOf(call)
  const inPod = readLink(pod.kernel, owner.ifname)
  if (inPod?.kind !== "veth") return
  const onHost = readLink(host.kernel, inPod.peer)
  const alias = onHost?.alias ?? ""
  const own = isOwnerAlias(alias) ? alias === ownerAlias(owner) : isOfAttachment(call, inPod, onHost)
  if (own) removeLink(pod.kernel, inPod.index)
}

/** Removes this network's rules and veths that belong to no attachment the runtime knows, wherever they are attached by now. */
function collectVeths({ config, log }: Call, { owners, reason }: Survivors, failures: Failures): void {
  const { name: network } = config
  const attempt = (step: () => void) => failures.attempt(step)
  using host = NetworkStack.host()
  const gone = (what: string) => log.removed(what, reason)
  attempt(() => {
    for (const comment of collectMasquerade(host, network, owners)) gone(`a rule (${JSON.stringify(comment)})`)
  })
  // A pod that is gone has taken its veth along; one that is not is guarded as long as it has one.
  if (owners) attempt(() => removeStaleVeths(host, network, owners, failures, gone))
  attempt(() => {
    const { removed, held } = collectMacGuards(host, network, owners)
    for (const what of removed) gone(what)
    if (held.length === 0) return
    throw new Conflict(held.map(({ words }) => words).join("; "), "delete those rules: the next GC removes the chain")
  })
}

function removeStaleVeths(
  { kernel }: NetworkStack,
  network: string,
  owners: readonly Owner[],
  failures: Failures,
  gone: (what: string) => void,
): void {
  const valid = new Set(owners.map(hostVethName))
  for (const { kind, name, alias, index } of listLinks(kernel).links) {
    const ours = kind === "veth" && isHostVethNameIn(name, network) && isOwnedIn(alias, network)
    if (!ours || valid.has(name)) continue
    failures.attempt(() => {
      if (removeLink(kernel, index)) gone(`${name} (${JSON.stringify(alias)})`)
    })
  }
}
