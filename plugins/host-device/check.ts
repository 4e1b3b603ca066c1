import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { HostDeviceConfig } from "./config.ts"
import { assertNamesDevice, isDeviceName } from "./device.ts"
import { isDrivenByProgram } from "./sysfs.ts"

/** Returns if the device is in the pod as ADD left it; throws the first difference. */
export function check({ call, config, pod }: CheckContext<HostDeviceConfig>, result: Result): void {
  assertNamesDevice(config)
  if (isDrivenByProgram(config)) return
  const inPod = checkPodInterface(pod, call, result)
  const { name, alias } = inPod.link
  if (!isDeviceName(alias)) throw changed(`the alias of ${name} is not its name on the node, which DEL needs`)
  checkPodNetwork(pod, inPod, result)
}
