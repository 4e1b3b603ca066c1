import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { checkMaster } from "../../lib/attachment/master.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { MacvlanConfig } from "./config.ts"

/** Returns if the pod's macvlan is as ADD left it; throws the first difference. */
export function check({ call, config, host, pod }: CheckContext<MacvlanConfig>, result: Result): void {
  const inPod = checkPodInterface(pod, call, result, "macvlan")
  const { name, macvlanMode } = inPod.link
  checkMaster(config.linkInContainer ? pod : host, config, inPod.link)
  if (macvlanMode !== config.mode) throw changed(`macvlan mode of ${name} is ${macvlanMode}, not ${config.mode}`)
  checkPodNetwork(pod, inPod, result)
}
