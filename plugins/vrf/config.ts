import { ifnameProblem } from "../../lib/cni/environment.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../lib/netlink/route/route.ts"

/** The configuration of `vrf`, checked. */
export interface VrfConfig {
  readonly vrfName: string
  /** The VRF's routing table; 0: that which it has, or else one that nobody uses. */
  readonly table: number
}

/** Reads and checks the configuration; throws code 7 that names the key. */
export function readVrfConfig({ fields }: NetworkConfig): VrfConfig {
  const vrfName = fields.string("vrfname")
  if (!vrfName) throw invalidConfig("vrfname", "there is no name of a VRF")
  const problem = ifnameProblem(vrfName)
  if (problem) throw invalidConfig("vrfname", `${problem}: ${JSON.stringify(vrfName)}`)
  const table = fields.integer("table", { min: 0, max: 0xffffffff }) ?? 0
  if (table !== RT_TABLE_MAIN && table !== RT_TABLE_LOCAL) return { vrfName, table }
  throw invalidConfig(
    "table",
    `table ${table} is the pod's own, which its other interfaces use`,
    "name another, or none",
  )
}
