import { checkPodInterface, checkPodNetwork } from "../../lib/attachment/check.ts"
import type { CheckContext } from "../../lib/attachment/interface-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import { readLink, type Tun } from "../../lib/netlink/route/link.ts"
import type { TapConfig } from "./config.ts"

/** Returns if the pod's tap is as ADD left it; throws the first difference. */
export function check({ call, config, pod }: CheckContext<TapConfig>, result: Result): void {
  const inPod = checkPodInterface(pod, call, result, "tun")
  const { name, master, tun } = inPod.link
  if (tun) checkTap(name, tun, config)
  const { bridge } = config
  if (bridge !== "" && readLink(pod.rtnetlink, bridge)?.index !== master) {
    throw changed(`${name} is not a port of ${bridge}`)
  }
  checkPodNetwork(pod, inPod, result)
}

function checkTap(name: string, tun: Tun, { multiQueue, owner, group }: TapConfig): void {
  if (!tun.isTap) throw changed(`interface ${name} is not a tap but a tun`)
  const compare = (what: string, is: unknown, asked: unknown) => {
    if (is !== asked) throw changed(`${what} of ${name} is ${is ?? "nobody"}, not ${asked ?? "nobody"}`)
  }
  compare("owner", tun.owner, owner)
  compare("group", tun.group, group)
  compare("multiQueue", tun.multiQueue, multiQueue)
}
