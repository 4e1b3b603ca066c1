import type { Owner } from "../net/names.ts"
import type { Call } from "./plugin.ts"

/** Whose interface this call is about. */
export function ownerOf({ environment, config }: Call): Owner {
  return { network: config.name, containerId: environment.containerId, ifname: environment.ifname }
}
