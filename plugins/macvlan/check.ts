import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import { openPod } from "../../lib/attachment/pod-stack.ts"
import { requirePrevResult } from "../../lib/cni/config.ts"
import { findDelegate } from "../../lib/cni/delegate.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readMacvlanConfig } from "./config.ts"
import { findMaster } from "./master.ts"

/** Returns if the pod's macvlan is as ADD left it; throws naming the first difference. */
export function check(call: Call): void {
  const config = readMacvlanConfig(call.config)
  using host = NetworkStack.host()
  using pod = openPod(call.environment.netns)
  if (config.ipamType !== "") findDelegate(call, config.ipamType).check()
  const result = requirePrevResult(call.config)

  const inPod = checkPodInterface(pod, call, result, "macvlan")
  const { name, macvlanMode, peer } = inPod.link
  // The default route may have moved since ADD, but a macvlan whose master is gone is gone itself.
  const master = config.master === "" ? undefined : findMaster(config.linkInContainer ? pod : host, config)
  if (master && peer !== master.index) throw changed(`${name} is not on ${master.name}`)
  if (macvlanMode !== config.mode) throw changed(`macvlan mode of ${name} is ${macvlanMode}, not ${config.mode}`)
  checkPodNetwork(pod, inPod, result)
}
