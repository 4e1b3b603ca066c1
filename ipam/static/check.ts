import { requirePrevResult } from "../../lib/cni/config.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { formatAddress, sameAddress } from "../../lib/ip/address.ts"
import { formatPrefix, samePrefix } from "../../lib/ip/prefix.ts"
import type { StaticConfig } from "./config.ts"

/** Throws unless every configured address is in the result, with its gateway. The Go plugin overlooks missing addresses. */
export function check({ environment, config }: Call, { addresses }: StaticConfig): void {
  const result = requirePrevResult(config)
  for (const { address, gateway } of addresses) {
    const text = formatPrefix(address)
    const given = result.ips.filter((ip) => samePrefix(ip.address, address))
    if (given.length === 0) throw changed(`static: address ${text} is not in prevResult`)
    if (gateway && !given.some((ip) => ip.gateway && sameAddress(ip.gateway, gateway))) {
      const where = `on interface ${environment.ifname}`
      throw changed(`static: Failed to match addr ${text} ${where}: its gateway is not ${formatAddress(gateway)}`)
    }
  }
}
