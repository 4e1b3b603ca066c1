import type { Call } from "../../lib/cni/plugin.ts"
import { readValidAttachments, reasonToCollect } from "../../lib/cni/result-read.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { ifbMac, listIfbs } from "../../lib/net/ifb.ts"
import { ownerAlias } from "../../lib/net/names.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { removeLink } from "../../lib/netlink/route/link.ts"

/** Removes this network's ifbs that belong to no attachment the runtime knows. Those of the Go plugin do not say whose they are, and stay. */
export function gc({ config, log }: Call): void {
  const { name: network, fields } = config
  const valid = new Set<string>()
  for (const attachment of readValidAttachments(fields)) {
    const owner = { network, ...attachment }
    valid.add(ownerAlias(owner)).add(formatMac(ifbMac(owner)))
  }
  using host = NetworkStack.host()
  for (const { index, name, alias, mac } of listIfbs(host, network)) {
    if (valid.has(alias || formatMac(mac)) || !removeLink(host.kernel, index)) continue
    log.removed(`${name} (${JSON.stringify(alias)})`, reasonToCollect(fields))
  }
}
