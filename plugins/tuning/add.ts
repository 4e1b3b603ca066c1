import { hasIPv6 } from "../../lib/attachment/addresses.ts"
import type { ChainedAddContext } from "../../lib/attachment/chained-plugin.ts"
import { assertRoomForIPv6 } from "../../lib/attachment/interface-keys.ts"
import type { Interface, Result } from "../../lib/cni/result.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { changeLink, readLink } from "../../lib/netlink/route/link.ts"
import { Backup, parseBackup, printBackup, settingsBefore } from "./backup.ts"
import type { Settings, TuningConfig } from "./config.ts"
import { refuseUnlisted, setSysctls } from "./sysctl.ts"

/** Sets the sysctls, then the interface, and keeps what that was before. */
export function add(context: ChainedAddContext<TuningConfig>, result: Result): Result {
  const { config, attachment, openPod, undo } = context
  const { sysctls, settings } = config
  refuseUnlisted(sysctls)
  if (hasIPv6(result.ips)) assertRoomForIPv6("mtu", settings.mtu ?? 0)
  const pod = openPod()
  if (sysctls.length > 0) setSysctls(pod, sysctls, attachment.ifname, undo)
  if (Object.keys(settings).length === 0) return result
  setInterface(context)
  const { ifname } = attachment
  const interfaces = result.interfaces.map((one) => (isInPod(one, ifname) ? described(one, settings) : one))
  return { ...result, interfaces }
}

function setInterface({ call, config, attachment, openPod, undo }: ChainedAddContext<TuningConfig>): void {
  const { settings, dataDir } = config
  const { ifname } = attachment
  const { rtnetlink } = openPod()
  const link = readLink(rtnetlink, ifname)
  if (!link) {
    const advice = "tuning has to stand behind the plugin that makes the interface"
    throw new Conflict(`there is no interface ${ifname} in ${call.environment.netns}`, advice)
  }
  const backup = new Backup(dataDir, attachment)
  const kept = backup.read()
  const before = settingsBefore(link, settings, kept === undefined ? {} : parseBackup(kept))
  const text = printBackup(before)
  if (kept === undefined) undo.add(() => backup.remove())
  if (text !== kept) backup.write(text)
  undo.add(() => changeLink(rtnetlink, link.index, ifname, settingsBefore(link, settings, {})))
  changeLink(rtnetlink, link.index, ifname, settings)
}

/** An interface of the node may have the same name. */
function isInPod({ name, sandbox }: Interface, ifname: string): boolean {
  return name === ifname && sandbox !== ""
}

/** The MTU is told only if it was: older results have no room for it. */
function described(listed: Interface, { mac, mtu }: Settings): Interface {
  return {
    ...listed,
    ...(mac && { mac: formatMac(mac) }),
    ...(mtu !== undefined && listed.mtu !== undefined && { mtu }),
  }
}
