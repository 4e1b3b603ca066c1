import { readIpamType } from "../../lib/attachment/interface-keys.ts"
import { type OnMaster, readOnMaster } from "../../lib/attachment/master.ts"
import type { PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { readDns } from "../../lib/cni/result-read.ts"
import { type IpvlanMode, ipvlanModes } from "../../lib/netlink/route/link-attributes.ts"

/** The configuration of `ipvlan`, with defaults and checked. An empty `master` is that of the previous result, if there is one. */
export interface IpvlanConfig extends OnMaster, PodLinkConfig {
  readonly mode: IpvlanMode
}

/** Reads and checks the configuration for the commands that need all of it. */
export function readIpvlanConfig({ fields }: NetworkConfig): IpvlanConfig {
  return { ...readOnMaster(fields), mode: readMode(fields), ipamType: readIpamType(fields), dns: readDns(fields) }
}

function readMode(fields: Fields): IpvlanMode {
  const text = fields.string("mode") || "l2"
  const modes = Object.keys(ipvlanModes) as IpvlanMode[]
  const mode = modes.find((known) => known === text)
  if (!mode) throw invalidConfig("mode", `unknown ipvlan mode: ${JSON.stringify(text)}`, `known: ${modes.join(" ")}`)
  return mode
}
