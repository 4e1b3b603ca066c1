import { invalidConfig } from "../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import type { IpConfig, Result } from "../../lib/cni/result.ts"

export interface SbrConfig {
  /** The table that the pod's addresses are to use as it is; absent: each gets one of its own, to which the interface's routes move. */
  readonly table?: number | undefined
}

/** Reads and checks the configuration; throws an error that names the key. */
export function readSbrConfig({ fields }: NetworkConfig): SbrConfig {
  return { table: fields.integer("table", { min: 1, max: 0xffffffff }) }
}

/** As readSbrConfig, for DEL, which must not fail for a configuration that ADD would have refused. */
export function readTable({ fields }: NetworkConfig): number | undefined {
  const value = fields.get("table")
  return typeof value === "number" && value > 0 ? value : undefined
}

/** Returns the addresses of the interface: those that the result gives to it, or to none that it lists. */
export function listOwnIps({ ips, interfaces }: Result, ifname: string): IpConfig[] {
  return ips.filter((ip) => {
    const owner = interfaces[ip.interface ?? -1]
    return owner === undefined || owner.name === ifname
  })
}

/** As listOwnIps; throws code 7 if there is none. */
export function requireOwnIps(result: Result, ifname: string): IpConfig[] {
  const ips = listOwnIps(result, ifname)
  if (ips.length > 0) return ips
  const advice = "sbr routes by source address: it has to stand behind a plugin that gives the interface addresses"
  throw invalidConfig("prevResult", `No IP addresses supplied on interface: ${ifname}`, advice)
}
