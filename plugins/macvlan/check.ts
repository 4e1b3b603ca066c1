import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { findMaster } from "../../lib/attachment/master.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { MacvlanConfig } from "./config.ts"

/** Returns if the pod's macvlan is as ADD left it; throws the first difference. */
export function check({ call, config, host, pod }: CheckContext<MacvlanConfig>, result: Result): void {
  const inPod = checkPodInterface(pod, call, result, "macvlan")
  const { name, macvlanMode, peer: parent } = inPod.link
  // The default route may have moved since ADD, but a macvlan whose master is gone is gone itself.
  const master = config.master === "" ? undefined : findMaster(config.linkInContainer ? pod : host, config)
  if (master && parent !== master.index) throw changed(`${name} is not on ${master.name}`)
  if (macvlanMode !== config.mode) throw changed(`macvlan mode of ${name} is ${macvlanMode}, not ${config.mode}`)
  checkPodNetwork(pod, inPod, result)
}
