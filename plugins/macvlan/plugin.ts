import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isOfAttachment } from "../../lib/attachment/same-pod.ts"
import { attachmentOf } from "../../lib/cni/attachment.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readMacvlanConfig } from "./config.ts"
import { findMaster } from "./master.ts"
import { removePodMacvlan } from "./pod-macvlan.ts"

/** Gives pods an interface of their own on one of the node's networks, by macvlan. */
export const macvlan = interfacePlugin({
  name: "macvlan",
  readConfig: readMacvlanConfig,
  add,
  check,
  status: (host, config) => {
    if (!config.linkInContainer) findMaster(host, config)
  },
  removes: { remove }, // GC has nothing to collect: a macvlan lives and dies with its pod's namespace
})

function remove(call: Call): void {
  using pod = openPodIfPresent(call.environment.netns)
  if (pod) removePodMacvlan(pod, attachmentOf(call), (link) => isOfAttachment(call, link))
}
