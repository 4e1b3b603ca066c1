import { invalidConfig } from "../../lib/cni/errors.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { changeLink, type Link, listLinks, readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { createVrf } from "../../lib/netlink/route/new-link.ts"
import { RT_TABLE_LOCAL } from "../../lib/netlink/route/route.ts"
import { listWholeRoutes } from "../../lib/netlink/route/whole-route.ts"
import type { VrfConfig } from "./config.ts"

/** A link that is a VRF. */
export interface Vrf extends Link {
  readonly vrfTable: number
}

/** Returns the pod's VRF of that name; undefined if there is none. */
export function readVrf({ rtnetlink }: NetworkStack, name: string): Vrf | undefined {
  const link = readLink(rtnetlink, name)
  return link && isVrf(link) ? link : undefined
}

function isVrf(link: Link): link is Vrf {
  return link.vrfTable !== undefined
}

/** Returns the pod's VRF, up. It is made if there is none, and `undo` removes it then. Throws Conflict if the name or its table is another's. */
export function ensureVrf(pod: NetworkStack, config: VrfConfig, undo: Undo): Vrf {
  const { vrfName, table } = config
  const vrf = readVrf(pod, vrfName) ?? makeVrf(pod, config, undo)
  if (table !== 0 && vrf.vrfTable !== table) {
    const advice = `name another VRF, or "table": ${vrf.vrfTable}`
    throw new Conflict(`VRF ${vrfName} already exist with different routing table ${vrf.vrfTable}`, advice)
  }
  if (!vrf.up) changeLink(pod.rtnetlink, vrf.index, vrfName, { up: true })
  return vrf
}

function makeVrf(pod: NetworkStack, { vrfName, table }: VrfConfig, undo: Undo): Vrf {
  const { rtnetlink } = pod
  const other = readLink(rtnetlink, vrfName)
  if (other) {
    const problem = `${JSON.stringify(vrfName)} is the name of an interface of the pod that is no VRF`
    throw invalidConfig("vrfname", problem, "name another VRF")
  }
  const wanted = { name: vrfName, table: table || findFreeTable(pod) }
  undo.attempt(
    () => createVrf(rtnetlink, wanted),
    () => removeLink(rtnetlink, vrfName),
  )
  const vrf = readVrf(pod, vrfName)
  if (!vrf) throw new Conflict(`VRF ${vrfName} vanished from the pod while it was being set up`, "try again")
  return vrf
}

function findFreeTable({ rtnetlink }: NetworkStack): number {
  const ofVrfs = listLinks(rtnetlink).links.map(({ vrfTable }) => vrfTable ?? 0)
  return firstFree([...ofVrfs, ...listWholeRoutes(rtnetlink).map(({ table }) => table)])
}

const RT_TABLE_DEFAULT = 253

/** Returns the first table that is not taken, and not one of the kernel's. */
export function firstFree(taken: readonly number[]): number {
  const others = new Set(taken)
  let table = 1
  while (others.has(table) || (table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL)) table++
  return table
}
