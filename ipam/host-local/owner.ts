import type { Environment } from "../../lib/cni/environment.ts"
import { type Address, formatAddress } from "../../lib/ip/address.ts"

/**
 * Who holds a lease, in the words of the lease file: container id, CR LF, interface name. Versions of the Go plugin
 * before 0.8 wrote the id alone; such an owner stands for every interface of the container.
 */
export type Owner = string & { readonly [brand]: true }
declare const brand: unique symbol

type Attachment = Pick<Environment, "containerId" | "ifname">

export function ownerOf({ containerId, ifname }: Attachment): Owner {
  return `${containerId.trim()}\r\n${ifname}` as Owner
}

export function legacyOwnerOf({ containerId }: Pick<Attachment, "containerId">): Owner {
  return containerId.trim() as Owner
}

/** The owner that a lease file names, or undefined if a crash left it empty or full of zeros. */
export function readOwner(content: string): Owner | undefined {
  const owner = content.trim()
  return owner === "" || owner.includes("\0") ? undefined : (owner as Owner)
}

/** For the log. The owner is whatever the lease file says, so it is quoted. */
export function describeLease(owner: Owner, addresses: readonly Address[]): string {
  return `lease ${addresses.map(formatAddress).sort().join(" ")} of ${JSON.stringify(owner)}`
}
