import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import type { PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"

/** Returns if the pod's dummy is as ADD left it; throws the first difference. */
export function check({ call, pod }: CheckContext<PodLinkConfig>, result: Result): void {
  const inPod = checkPodInterface(pod, call, result, "dummy")
  if (!inPod.link.up) throw changed(`interface ${inPod.link.name} is down`)
  checkPodNetwork(pod, inPod, result)
}
