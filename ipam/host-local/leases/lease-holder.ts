import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { LeaseName } from "./lease-name.ts"

/**
 * The attachment that holds a lease, as the lease file writes it: container id, CR LF, interface name. The Go plugin before 0.8 wrote the
 * id alone, which stands for every interface of the container: the legacy holder.
 */
export type LeaseHolder = string & { readonly [brand]: true }
declare const brand: unique symbol

/** Returns the holder for an attachment; its network is the directory that the lease is in. */
export function holderOf({ containerId, ifname }: Omit<Attachment, "network">): LeaseHolder {
  return `${containerId.trim()}\r\n${ifname}` as LeaseHolder
}

export function legacyHolderOf({ containerId }: Pick<Attachment, "containerId">): LeaseHolder {
  return containerId.trim() as LeaseHolder
}

/** Splits a holder into container id and interface name; a legacy holder has no interface. */
export function partsOf(holder: LeaseHolder): { containerId: string; ifname: string | undefined } {
  const end = holder.indexOf("\r\n")
  if (end < 0) return { containerId: holder, ifname: undefined }
  return { containerId: holder.slice(0, end), ifname: holder.slice(end + 2) }
}

/** Reads the holder from a lease file's content; undefined if a crash left the file empty or full of zeros. */
export function readHolder(content: string): LeaseHolder | undefined {
  const holder = content.trim()
  return holder === "" || holder.includes("\0") ? undefined : (holder as LeaseHolder)
}

/** Describes leases for the log. Anybody may have written the lease file, so the holder is quoted. */
export function describeLease(holder: LeaseHolder, names: readonly LeaseName[]): string {
  return `lease ${names.toSorted().join(" ")} of ${JSON.stringify(holder)}`
}
