import { families } from "../ip/address.ts"
import { isDefault } from "../ip/prefix.ts"
import type { Conversation } from "../netlink/conversation.ts"
import { listRoutes, RT_TABLE_MAIN } from "../netlink/route/route.ts"

/** The index of the link that the default route leaves by: IPv4's before IPv6's, then the one of least metric. Undefined without any. */
export function findUplink(kernel: Conversation): number | undefined {
  const defaults = families.flatMap((family) =>
    listRoutes(kernel, family, RT_TABLE_MAIN)
      .filter(({ dst }) => isDefault(dst))
      .sort((a, b) => a.priority - b.priority),
  )
  return defaults[0]?.hops[0]?.index
}
