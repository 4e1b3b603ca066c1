import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isOfAttachmentByMac, isStablePath } from "../../lib/attachment/same-pod.ts"
import { attachmentOf } from "../../lib/cni/attachment.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { changeLink, type Link, readLink } from "../../lib/netlink/route/link.ts"
import { Backup, parseBackup } from "./backup.ts"
import { readDataDir, type Settings } from "./config.ts"
import { resetSysctls } from "./sysctl.ts"

type Judge = (call: Call, link: Link, before: Settings) => boolean

/**
 * Gives the pod's interface back what it was before, if it is there and `isOurs`, and removes what kept that. Without a backup there is nothing
 * to do. That the kernel refuses is said, and keeps no pod from going.
 */
export function restore(call: Call, isOurs: Judge): void {
  const backup = new Backup(readDataDir(call.config), attachmentOf(call))
  const text = backup.read()
  if (text !== undefined) restoreInterface(call, parseBackup(text), isOurs)
  backup.remove()
}

/** Undoes an ADD of this process whose result could not be handed over. */
export function takeBack(call: Call): void {
  using pod = openPodIfPresent(call.environment.netns)
  if (pod) resetSysctls(pod)
  restore(call, () => true)
}

function restoreInterface(call: Call, before: Settings, isOurs: Judge): void {
  const { netns, ifname } = call.environment
  if (Object.keys(before).length === 0) return
  using pod = openPodIfPresent(netns)
  const link = pod && readLink(pod.rtnetlink, ifname)
  if (!link || !isOurs(call, link, before)) return
  try {
    changeLink(pod.rtnetlink, link.index, ifname, before)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    call.log.noticed(`${ifname} keeps some of what tuning has set: ${error.message}`)
  }
}

/** Says if the namespace is not another pod's by now. A result that has the MAC address of before is older than our change of it. */
export function isSamePod(call: Call, link: Link, { mac }: Settings): boolean {
  if (isOfAttachmentByMac(call, link)) return true
  return mac !== undefined && isOfAttachmentByMac(call, { ...link, mac }) && isStablePath(call.environment.netns)
}
