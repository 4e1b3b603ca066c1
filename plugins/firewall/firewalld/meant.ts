import type { Log } from "../../../lib/cni/log.ts"
import type { NetworkStack } from "../../../lib/net/stack.ts"
import { readChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { unlessMissing } from "../../../lib/sys/file.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import type { FirewallConfig } from "../config.ts"
import { systemBusPath } from "./bus.ts"
import { NotRunning, Zone } from "./zone.ts"

type Places = Pick<FirewallConfig, "backend" | "zone">

/**
 * Does `step` with the zone that pods' addresses belong into, if firewalld is named, or runs and nothing is. The first throws NotRunning if
 * it does not run; of the second that is said in the log, as its rules are there without it.
 */
export function withZone(
  host: NetworkStack,
  { backend, zone: name }: Places,
  { log, mayStart = false }: { readonly log?: Log; readonly mayStart?: boolean },
  step: (zone: Zone) => void,
): void {
  if (backend === "firewalld") {
    using zone = new Zone(name, { mayStart })
    step(zone)
    return
  }
  if (backend !== undefined || !hasItsRules(host)) return
  try {
    using zone = new Zone(name)
    step(zone)
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error
    log?.noticed(`${error.message}, and its rules are on this node: pods stay cut off if they drop (${error.details})`)
  }
}

/**
 * Returns true if there is a bus, and firewalld filters in this network namespace: one that runs in another cannot let these pods through.
 * While it is loaded anew it has a table of another name.
 */
function hasItsRules({ nfnetlink }: NetworkStack): boolean {
  const path = systemBusPath()
  if (path === undefined || !unlessMissing(() => fileStatus(path))) return false
  const has = (table: string, name: string) =>
    readChain(nfnetlink, { table: { family: "inet", name: table }, name }) !== undefined
  return has("firewalld", "filter_FORWARD") || has("firewalld_policy_drop", "filter_forward")
}
