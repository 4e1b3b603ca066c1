import { openPod, openPodIfPresent } from "../../lib/attachment/pod-stack.ts"
import { isStablePath } from "../../lib/attachment/same-pod.ts"
import { readPrevResult } from "../../lib/cni/config.ts"
import { CniError, changed, code } from "../../lib/cni/errors.ts"
import type { Call, Plugin } from "../../lib/cni/plugin.ts"
import { emptyResult, type IpConfig, type Result } from "../../lib/cni/result.ts"
import { versions } from "../../lib/cni/version.ts"
import { type Family, families, isLoopback } from "../../lib/ip/address.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { formatPrefix, type Prefix } from "../../lib/ip/prefix.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { Undo } from "../../lib/net/undo.ts"
import { listAddresses } from "../../lib/netlink/route/address.ts"
import { changeLink, type Link, readLink } from "../../lib/netlink/route/link.ts"

/** Sets a pod's `lo` up. CNI_IFNAME and CNI_ARGS are not used. */
export const loopback: Plugin = { name: "loopback", versions, add, del, check, gc: nothing, status: nothing }

function add(call: Call): Result {
  const { netns } = call.environment
  const previous = readPrevResult(call.config)
  using pod = openPod(netns)
  const lo = readLoopback(pod)
  refuseForeignAddress(readAddresses(pod, lo))
  using undo = new Undo()
  if (!lo.up) undo.add(() => changeLink(pod.rtnetlink, lo.index, lo.name, { up: false }))
  changeLink(pod.rtnetlink, lo.index, lo.name, { up: true })
  const result = previous ?? describe(pod, lo, netns)
  undo.commit()
  return result
}

function describe(pod: NetworkStack, lo: Link, netns: string): Result {
  const inPod = { name: lo.name, mac: formatMac(lo.mac), sandbox: netns }
  const addresses = readAddresses(pod, lo) // the kernel adds its own as lo comes up
  const ips = families.flatMap((family) => firstOf(addresses, family))
  return { ...emptyResult, interfaces: [inPod], ips }
}

function readAddresses(pod: NetworkStack, lo: Link): Prefix[] {
  return listAddresses(pod.rtnetlink, lo.index).map(({ prefix }) => prefix)
}

function refuseForeignAddress(addresses: readonly Prefix[]): void {
  const foreign = addresses.find(({ address }) => !isLoopback(address))
  if (!foreign) return
  throw new CniError(
    code.conflict,
    `loopback interface found with non-loopback address ${JSON.stringify(formatPrefix(foreign))}`,
    "remove that address from lo in the pod's network namespace",
  )
}

function firstOf(addresses: readonly Prefix[], family: Family): IpConfig[] {
  const address = addresses.find((prefix) => prefix.address.family === family)
  return address ? [{ address, interface: 0 }] : []
}

/** Sets `lo` down, unless the path may lead to another pod by now. */
function del(call: Call): void {
  const { netns } = call.environment
  using pod = openPodIfPresent(netns)
  if (!pod || !isStablePath(netns)) return
  const lo = readLoopback(pod)
  changeLink(pod.rtnetlink, lo.index, lo.name, { up: false })
}

function check(call: Call): void {
  using pod = openPod(call.environment.netns)
  if (!readLoopback(pod).up) throw changed("loopback interface is down", "set lo up in the pod, or make the pod anew")
}

function readLoopback(pod: NetworkStack): Link {
  const lo = readLink(pod.rtnetlink, "lo")
  if (!lo) throw new Conflict("the pod has no interface called lo", "somebody renamed it")
  return lo
}

/** GC has nothing to collect, and STATUS nothing to check. */
function nothing(): void {}
