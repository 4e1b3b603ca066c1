import type { Environment } from "../../../lib/cni/environment.ts"
import type { LeaseName } from "./lease-name.ts"

/**
 * Who holds a lease, in the words of the lease file: container id, CR LF, interface name. Versions of the Go plugin
 * before 0.8 wrote the id alone; such an owner stands for every interface of the container.
 */
export type Owner = string & { readonly [brand]: true }
declare const brand: unique symbol

export type Attachment = Pick<Environment, "containerId" | "ifname">

export function ownerOf({ containerId, ifname }: Attachment): Owner {
  return `${containerId.trim()}\r\n${ifname}` as Owner
}

export function legacyOwnerOf({ containerId }: Pick<Attachment, "containerId">): Owner {
  return containerId.trim() as Owner
}

/** Container id and interface name; no interface if it names a container alone. */
export function partsOf(owner: Owner): { containerId: string; ifname: string | undefined } {
  const end = owner.indexOf("\r\n")
  if (end < 0) return { containerId: owner, ifname: undefined }
  return { containerId: owner.slice(0, end), ifname: owner.slice(end + 2) }
}

/** The owner that a lease file names, or undefined if a crash left it empty or full of zeros. */
export function readOwner(content: string): Owner | undefined {
  const owner = content.trim()
  return owner === "" || owner.includes("\0") ? undefined : (owner as Owner)
}

/** For the log. The owner is whatever the lease file says, so it is quoted. */
export function describeLease(owner: Owner, names: readonly LeaseName[]): string {
  return `lease ${names.toSorted().join(" ")} of ${JSON.stringify(owner)}`
}
