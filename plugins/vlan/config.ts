import { readIpamType } from "../../lib/attachment/interface-keys.ts"
import { type OnMaster, readOnMaster } from "../../lib/attachment/master.ts"
import type { PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { readDns } from "../../lib/cni/result-read.ts"

/** The configuration of `vlan`, with defaults and checked. `master` is never empty. */
export interface VlanConfig extends OnMaster, PodLinkConfig {
  readonly vlanId: number
}

/** Reads and checks the configuration for the commands that need all of it. */
export function readVlanConfig({ fields }: NetworkConfig): VlanConfig {
  const onMaster = readOnMaster(fields)
  if (onMaster.master === "") {
    throw invalidConfig("master", "is required", 'name the interface that the VLAN is on: "master": "eth1"')
  }
  return {
    ...onMaster,
    vlanId: fields.integer("vlanId", { min: 0, max: 4094 }) ?? 0,
    ipamType: readIpamType(fields),
    dns: readDns(fields),
  }
}
