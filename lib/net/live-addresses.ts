import { formatAddress } from "../ip/address.ts"
import { listAddresses } from "../netlink/route/address.ts"
import { fileStatus, sameFile } from "../sys/file-status.ts"
import { liveNamespacePaths } from "../sys/live-namespaces.ts"
import { SystemError } from "../sys/system-error.ts"
import { NetworkStack } from "./stack.ts"

/**
 * Returns the addresses of all interfaces in all network namespaces but the one at `except`, as text; undefined if one of these cannot be
 * looked into.
 */
export function readLiveAddresses(except?: string): ReadonlySet<string> | undefined {
  const addresses = new Set<string>()
  try {
    const excepted = except && fileStatus(except)
    for (const path of liveNamespacePaths()) {
      if (excepted && sameFile(excepted, fileStatus(path))) continue
      using stack = NetworkStack.pod(path)
      for (const { prefix } of listAddresses(stack.kernel)) addresses.add(formatAddress(prefix.address))
    }
    return addresses
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
