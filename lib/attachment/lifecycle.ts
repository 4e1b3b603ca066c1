import { type Attachment, attachmentOf } from "../cni/attachment.ts"
import type { Failures } from "../cni/failures.ts"
import type { Call } from "../cni/plugin.ts"
import type { Survivors } from "../cni/valid-attachments.ts"
import { Conflict } from "../net/conflict.ts"
import { type Removal, removeWithChains, together } from "../net/foreign-jumps.ts"
import { NetworkStack } from "../net/stack.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { changeLink, type Link, listLinks, readLink, removeLink } from "../netlink/route/link.ts"
import { attachmentAlias, isAttachmentAlias, isOursOrUnfinished, isOursOrUnfinishedIn } from "./alias.ts"
import type { AttachmentRules } from "./attachment-rules.ts"
import type { Removable } from "./interface-plugin.ts"
import { hostVethName, isHostVethNameIn } from "./names.ts"
import { openPodIfPresent } from "./pod-stack.ts"
import { isOfAttachment } from "./same-pod.ts"
import { removeStaleLinks } from "./stale-links.ts"

/** Returns the removal of what a plugin makes that connects pods by veth pairs: the pairs, and rules of these kinds. */
export function vethPairs(kinds: readonly AttachmentRules[]): Removable {
  return {
    remove: (call) => removeVeth(call, kinds),
    collect: (call, survivors, failures) => collectVeths(call, survivors, failures, kinds),
  }
}

/**
 * Removes the attachment's rules and its veth pair; none is fine. Rules go first: the kernel takes longer to free them while it is freeing
 * a veth. A pod that has a guard is silenced before. The pair is known by the name of its host end: the pod may have renamed its own, and use
 * the name for something else.
 */
function removeVeth(call: Call, kinds: readonly AttachmentRules[]): void {
  using host = NetworkStack.host()
  const attachment = attachmentOf(call)
  const found = readLink(host.rtnetlink, hostVethName(attachment))
  const veth = found?.kind === "veth" && isOursOrUnfinished(found.alias, attachment) ? found : undefined
  const held = removeWithChains(host.nfnetlink, () => planAllRemovals(host, attachment, veth, kinds))
  for (const { words } of held) call.log.noticed(words) // an empty chain harms nobody, and a DEL that fails keeps the pod
  if (veth && removeLink(host.rtnetlink, veth.index)) return
  using pod = openPodIfPresent(call.environment.netns)
  if (pod) removeVethOfOtherName(host, pod, call)
}

function planAllRemovals(
  host: NetworkStack,
  attachment: Attachment,
  veth: Link | undefined,
  kinds: readonly AttachmentRules[],
): Removal {
  const removals = kinds.map(({ guard, ...rules }) => {
    const removal = rules.planRemoval(host, attachment)
    if (guard && veth && removal.chains.length > 0) silence(host, veth)
    return removal
  })
  return together(removals)
}

/** Sets the veth down, so that nothing comes out of the pod any more. It may be gone. */
function silence({ rtnetlink }: NetworkStack, { index, name }: Link): void {
  try {
    changeLink(rtnetlink, index, name, { up: false })
  } catch (error) {
    if (!refusedWith(error, "ENODEV")) throw error
  }
}

/**
 * Removes a pair that the pod's end leads to: the Go plugin's has a random name on the host, and ours may have been renamed. One that says
 * it is another's belongs to another network of the pod, or to another pod.
 */
function removeVethOfOtherName(host: NetworkStack, pod: NetworkStack, call: Call): void {
  const attachment = attachmentOf(call)
  const inPod = readLink(pod.rtnetlink, attachment.ifname)
  if (inPod?.kind !== "veth") return
  const onHost = readLink(host.rtnetlink, inPod.peer)
  const alias = onHost?.alias ?? ""
  const own = isAttachmentAlias(alias)
    ? alias === attachmentAlias(attachment)
    : isOfAttachment(call, pod, inPod, onHost)
  if (own) removeLink(pod.rtnetlink, inPod.index)
}

/**
 * Removes this network's rules and veths that belong to no attachment the runtime lists. Without a list, only rules whose pods are certainly
 * gone; veths stay.
 */
function collectVeths(call: Call, survivors: Survivors, failures: Failures, kinds: readonly AttachmentRules[]): void {
  const { config, log } = call
  const { attachments, reason } = survivors
  using host = NetworkStack.host()
  const gone = (what: string) => log.removed(what, reason)
  const collectRules = ({ collect }: AttachmentRules) => {
    const { removed, held } = collect(host, config.name, attachments)
    for (const what of removed) gone(what)
    if (held.length === 0) return
    throw new Conflict(held.map(({ words }) => words).join("; "), "delete those rules: the next GC removes the chain")
  }
  for (const rules of kinds) if (!rules.guard) failures.capture(() => collectRules(rules))
  // Guards go last: a pod that still has its veth must stay guarded.
  if (attachments) failures.capture(() => removeStaleVeths(host, config.name, attachments, failures, gone))
  for (const rules of kinds) if (rules.guard) failures.capture(() => collectRules(rules))
}

function removeStaleVeths(
  host: NetworkStack,
  network: string,
  attachments: readonly Attachment[],
  failures: Failures,
  gone: (what: string) => void,
): void {
  const valid = new Set(attachments.map(hostVethName))
  const isStale = ({ kind, name, alias }: Link) =>
    kind === "veth" && isHostVethNameIn(name, network) && isOursOrUnfinishedIn(alias, network) && !valid.has(name)
  removeStaleLinks(host, listLinks(host.rtnetlink).links.filter(isStale), failures, ({ name, alias }) =>
    gone(`${name} (${JSON.stringify(alias)})`),
  )
}
