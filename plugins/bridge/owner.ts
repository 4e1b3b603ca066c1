import type { Call } from "../../lib/cni/plugin.ts"
import type { Owner } from "../../lib/net/names.ts"

/** Whose interface this call is about. */
export function ownerOf({ environment, config }: Call): Owner {
  return { network: config.name, containerId: environment.containerId, ifname: environment.ifname }
}
