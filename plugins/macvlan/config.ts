import { macOfArgs, readIpamType, readMac } from "../../lib/attachment/interface-keys.ts"
import { type OnMaster, readOnMaster } from "../../lib/attachment/master.ts"
import type { PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { Call, NetworkConfig } from "../../lib/cni/plugin.ts"
import { readDns } from "../../lib/cni/result-read.ts"
import type { Mac } from "../../lib/ip/mac.ts"
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

/** Returns the MAC address requested for the pod's interface, from runtimeConfig, else CNI_ARGS, else the configuration. */
export function readRequestedMac(call: Call): Mac | undefined {
  const { fields } = call.config
  const candidates: [string, string | undefined][] = [
    ["runtimeConfig.mac", fields.fields("runtimeConfig")?.string("mac")],
    ["CNI_ARGS MAC", macOfArgs(call)],
    ["mac", fields.string("mac")],
  ]
  const [name = "", text] = candidates.find(([, value]) => value) ?? []
  return readMac(name, text)
}
