import type { NetworkStack } from "../../../lib/net/stack.ts"
import { refusedWith } from "../../../lib/netlink/kernel-error.ts"
import { readRule } from "../../../lib/netlink/netfilter/read-rule.ts"
import { hasRule } from "../../../lib/netlink/netfilter/rule.ts"
import type { Link } from "../../../lib/netlink/route/link.ts"
import { lookupRoute } from "../../../lib/netlink/route/route.ts"
import { layoutOf } from "./layout.ts"

/** Says if a pod that the link leads to has rules by which the node's programs reach it from 127.0.0.1. If that cannot be read, it may have. */
export function isMasqueradedBehind({ rtnetlink, nfnetlink }: NetworkStack, { index }: Link): boolean {
  try {
    return hasRule(nfnetlink, layoutOf(4).masquerading, ({ expressions }) => {
      const pod = readRule(expressions()).destination
      return pod !== undefined && lookupRoute(rtnetlink, pod)?.index === index
    })
  } catch (error) {
    if (refusedWith(error, "ERESTART")) return true // the rules change all the time
    throw error
  }
}
