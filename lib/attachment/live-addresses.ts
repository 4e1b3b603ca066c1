import { formatAddress } from "../ip/address.ts"
import { NetworkStack } from "../net/stack.ts"
import { listAddresses } from "../netlink/route/address.ts"
import { fileStatus, sameFile } from "../sys/file-status.ts"
import { liveNamespacePaths } from "../sys/live-namespaces.ts"
import { failedWith, SystemError } from "../sys/system-error.ts"

/** Pods may come and go while their namespaces are read. */
const MAX_ATTEMPTS = 20

/** Returns the addresses, as text, in all network namespaces but the one at `except`; undefined if one of them cannot be read. */
export function readLiveAddresses(except?: string): ReadonlySet<string> | undefined {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    try {
      return readAddresses(except)
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      if (!failedWith(error, "ENOENT", "ESRCH", "EINVAL")) break
    }
  }
  return undefined
}

function readAddresses(except?: string): ReadonlySet<string> {
  const addresses = new Set<string>()
  const excepted = except && fileStatus(except)
  for (const path of liveNamespacePaths()) {
    if (excepted && sameFile(excepted, fileStatus(path))) continue
    using stack = NetworkStack.pod(path)
    for (const { prefix } of listAddresses(stack.rtnetlink)) addresses.add(formatAddress(prefix.address))
  }
  return addresses
}
