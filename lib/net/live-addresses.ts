import { formatAddress } from "../ip/address.ts"
import { listAddresses } from "../netlink/route/address.ts"
import { liveNamespacePaths } from "../sys/live-namespaces.ts"
import { SystemError } from "../sys/system-error.ts"
import { NetworkStack } from "./stack.ts"

/** The addresses of all interfaces in all network namespaces, as text; undefined if one of these cannot be looked into. */
export function readLiveAddresses(): ReadonlySet<string> | undefined {
  const addresses = new Set<string>()
  try {
    for (const path of liveNamespacePaths()) {
      using stack = NetworkStack.pod(path)
      for (const { prefix } of listAddresses(stack.kernel)) addresses.add(formatAddress(prefix.address))
    }
    return addresses
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
