import { readIpamType } from "../../lib/attachment/interface-keys.ts"
import { type OnMaster, readOnMaster } from "../../lib/attachment/master.ts"
import type { PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { readDns } from "../../lib/cni/result-read.ts"
import type { MacvlanMode } from "../../lib/netlink/route/link-attributes.ts"

/** The configuration of `macvlan`, with defaults and checked. */
export interface MacvlanConfig extends OnMaster, PodLinkConfig {
  readonly mode: MacvlanMode
  /** 0: the kernel's choice. */
  readonly broadcastQueue: number
}

const modes: readonly MacvlanMode[] = ["bridge", "private", "vepa", "passthru"]

/** Reads and checks the configuration for the commands that need all of it. */
export function readMacvlanConfig({ fields }: NetworkConfig): MacvlanConfig {
  return {
    ...readOnMaster(fields),
    mode: readMode(fields),
    broadcastQueue: fields.integer("bcqueuelen", { min: 0, max: 0xffffffff }) ?? 0,
    ipamType: readIpamType(fields),
    dns: readDns(fields),
  }
}

function readMode(fields: Fields): MacvlanMode {
  const text = fields.string("mode") || "bridge"
  const mode = modes.find((known) => known === text)
  if (!mode) throw invalidConfig("mode", `unknown macvlan mode: ${JSON.stringify(text)}`, `known: ${modes.join(" ")}`)
  return mode
}
