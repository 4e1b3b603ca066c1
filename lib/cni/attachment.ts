import type { Call } from "./plugin.ts"

/** One interface of one container on one network: CNI's key for everything that a plugin makes. */
export interface Attachment {
  readonly network: string
  readonly containerId: string
  readonly ifname: string
}

/** Returns the attachment that the call is about. */
export function attachmentOf({ environment, config }: Call): Attachment {
  return { network: config.name, containerId: environment.containerId, ifname: environment.ifname }
}
