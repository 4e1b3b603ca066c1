import { readIpamType, readMtu } from "../../lib/attachment/interface-keys.ts"
import type { PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import { unsupportedField } from "../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { readDns } from "../../lib/cni/result-read.ts"

/** The configuration of `tap`, with defaults and checked. */
export interface TapConfig extends PodLinkConfig {
  readonly multiQueue: boolean
  /** The one user, and the one group, who may attach to the tap without CAP_NET_ADMIN. Undefined: any. */
  readonly owner: number | undefined
  readonly group: number | undefined
  /** The link of the pod that the tap is to be a port of; empty: none. */
  readonly bridge: string
}

/** One less than (uid_t)-1, which is nobody. */
const MOST_ID = 0xfffffffe

/** Reads and checks the configuration for the commands that need all of it. */
export function readTapConfig({ fields }: NetworkConfig): TapConfig {
  const context = fields.string("selinuxContext")
  if (context) {
    const advice =
      "the kernel gives a tap the context of the process that makes it, and this one starts no other: remove the key, or let the Go plugin `tap` serve this network"
    throw unsupportedField("selinuxContext", context, advice)
  }
  return {
    multiQueue: fields.flag("multiQueue"),
    owner: fields.integer("owner", { min: 0, max: MOST_ID }),
    group: fields.integer("group", { min: 0, max: MOST_ID }),
    bridge: fields.string("bridge") ?? "",
    mtu: readMtu(fields),
    ipamType: readIpamType(fields),
    dns: readDns(fields),
  }
}
