import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { checkMaster } from "../../lib/attachment/master.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { VlanConfig } from "./config.ts"

/** Returns if the pod's interface is as ADD left it; throws the first difference. */
export function check({ call, config, host, pod }: CheckContext<VlanConfig>, result: Result): void {
  const inPod = checkPodInterface(pod, call, result, "vlan")
  const { name, vlanId, mtu } = inPod.link
  checkMaster(config.linkInContainer ? pod : host, config, inPod.link)
  if (vlanId !== config.vlanId) throw changed(`VLAN of ${name} is ${vlanId}, not ${config.vlanId}`)
  if (config.mtu !== 0 && mtu !== config.mtu) throw changed(`MTU of ${name} is ${mtu}, not ${config.mtu}`)
  checkPodNetwork(pod, inPod, result)
}
