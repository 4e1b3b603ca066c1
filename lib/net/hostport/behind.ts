import { refusedWith } from "../../netlink/kernel-error.ts"
import { readRule } from "../../netlink/netfilter/read-rule.ts"
import { hasRule } from "../../netlink/netfilter/rule.ts"
import type { Link } from "../../netlink/route/link.ts"
import { readWay } from "../../netlink/route/route.ts"
import type { NetworkStack } from "../stack.ts"
import { layoutOf } from "./layout.ts"

/** Says if a pod that the link leads to has rules by which the node's programs reach it from 127.0.0.1. If that cannot be read, it may have. */
export function isMasqueradedBehind({ kernel, netfilter }: NetworkStack, { index }: Link): boolean {
  try {
    return hasRule(netfilter, layoutOf(4).masquerading, ({ expressions }) => {
      const pod = readRule(expressions()).destination
      return pod !== undefined && readWay(kernel, pod)?.index === index
    })
  } catch (error) {
    if (refusedWith(error, "ERESTART")) return true // the rules change all the time
    throw error
  }
}
