import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import type { Sysctls } from "../../lib/net/stack.ts"
import { type Link, readLink } from "../../lib/netlink/route/link.ts"
import type { Settings, TuningConfig } from "./config.ts"
import { readIfPossible, type Sysctl, sysctlPath } from "./sysctl.ts"

/** Returns if the pod has the values that ADD set; throws naming the first that it has not. */
export function check({ call, config, attachment, openPod }: ChainedCheckContext<TuningConfig>): void {
  const { sysctls, settings } = config
  const { ifname } = attachment
  const pod = openPod()
  if (sysctls.length > 0) pod.withSysctls((own) => checkSysctls(own, sysctls, ifname))
  if (Object.keys(settings).length === 0) return
  const link = readLink(pod.rtnetlink, ifname)
  if (!link) throw changed(`interface ${ifname} is gone from ${call.environment.netns}`)
  checkInterface(link, settings)
}

function checkSysctls(own: Sysctls, sysctls: readonly Sysctl[], ifname: string): void {
  for (const { key, value } of sysctls) {
    const path = sysctlPath(key, ifname)
    const current = readIfPossible(own, path)
    if (current === undefined) throw changed(`sysctl ${key} cannot be read: /proc/sys/${path}`)
    if (words(current) !== words(value)) throw changed(`sysctl ${key} is ${inQuotes(current)}, not ${inQuotes(value)}`)
  }
}

/** The kernel separates several numbers by tabs, whatever they were separated by. */
function words(value: string): string {
  return value.trim().split(/\s+/).join(" ")
}

function inQuotes(value: string): string {
  return JSON.stringify(words(value))
}

function checkInterface(link: Link, wanted: Settings): void {
  const compare = (what: string, is: unknown, asked: unknown) => {
    if (asked !== undefined && is !== asked) throw changed(`${what} of ${link.name} is ${is}, not ${asked}`)
  }
  compare("mac", formatMac(link.mac), wanted.mac && formatMac(wanted.mac))
  compare("promisc", link.promiscuous, wanted.promiscuous)
  compare("mtu", link.mtu, wanted.mtu)
  compare("allmulti", link.allMulticast, wanted.allMulticast)
  compare("txQLen", link.transmitQueueLength, wanted.transmitQueueLength)
}
