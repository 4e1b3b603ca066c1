import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { checkMaster } from "../../lib/attachment/master.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { IpvlanConfig } from "./config.ts"

/** Returns if the pod's ipvlan is as ADD left it; throws the first difference. */
export function check({ call, config, host, pod }: CheckContext<IpvlanConfig>, result: Result): void {
  const inPod = checkPodInterface(pod, call, result, "ipvlan")
  const { name, ipvlanMode } = inPod.link
  checkMaster(config.linkInContainer ? pod : host, config, inPod.link)
  if (ipvlanMode !== config.mode) {
    const cause = "all ipvlans on one master have the mode of the one that was made last"
    throw changed(`ipvlan mode of ${name} is ${ipvlanMode}, not ${config.mode}`, cause)
  }
  checkPodNetwork(pod, inPod, result)
}
