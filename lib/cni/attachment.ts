import type { Owner } from "../attachment/names.ts"
import type { Call } from "./plugin.ts"

/** Whose interface this call is about. */
export function ownerOf({ environment, config }: Call): Owner {
  return { network: config.name, containerId: environment.containerId, ifname: environment.ifname }
}
