import { readIpamType } from "../../lib/attachment/interface-keys.ts"
import type { PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { noDns } from "../../lib/cni/result.ts"

/** Reads and checks the configuration: `dummy` has no keys of its own. Throws code 7 without IPAM. */
export function readDummyConfig({ fields }: NetworkConfig): PodLinkConfig {
  const ipamType = readIpamType(fields)
  if (ipamType === "") throw invalidConfig("ipam.type", "a dummy interface requires an IPAM configuration")
  return { ipamType, mtu: 0, dns: noDns }
}
