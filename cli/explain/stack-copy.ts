import { attachmentInAlias } from "../../lib/attachment/alias.ts"
import type { NetworkStack, Sysctls } from "../../lib/net/stack.ts"
import { type LinkAddress, listAddresses } from "../../lib/netlink/route/address.ts"
import { type Link, listLinks } from "../../lib/netlink/route/link.ts"
import { listPolicyRules, type PolicyRule } from "../../lib/netlink/route/rule.ts"
import { listWholeRoutes, type WholeRoute } from "../../lib/netlink/route/whole-route.ts"
import { listDirectory, unlessMissing } from "../../lib/sys/file.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { hasFirewalld, type RulesetCopy, readRuleset } from "./ruleset-copy.ts"

/** The content of one network namespace, as far as plugins look at it: read once, so that it can be made again in another. */
export interface StackCopy {
  readonly links: readonly Link[]
  readonly addresses: readonly LinkAddress[]
  readonly routes: readonly WholeRoute[]
  readonly rules: readonly PolicyRule[]
  /** By the names of files below /proc/sys, in the order in which they are to be set. */
  readonly sysctls: readonly (readonly [name: string, value: string])[]
  readonly ruleset: RulesetCopy
  /** True if firewalld keeps rules here. */
  readonly firewalld: boolean
}

/** Reads the stack. Throws KernelError or SystemError. */
export function readStack(stack: NetworkStack): StackCopy {
  const { rtnetlink, nfnetlink } = stack
  const { links } = listLinks(rtnetlink)
  return {
    links,
    addresses: listAddresses(rtnetlink),
    routes: listWholeRoutes(rtnetlink),
    rules: listPolicyRules(rtnetlink),
    sysctls: stack.withSysctls((own) => readSysctls(own, links)),
    ruleset: readRuleset(nfnetlink),
    firewalld: hasFirewalld(nfnetlink),
  }
}

/** The first sets others of IPv4 back. */
const NODE_WIDE = [
  "net/ipv4/ip_forward",
  "net/ipv6/conf/all/forwarding",
  "net/bridge/bridge-nf-call-iptables",
  "net/bridge/bridge-nf-call-ip6tables",
]
const OF_ALL_LINKS = ["net/ipv4/conf/default", "net/ipv6/conf/default", "net/ipv6/conf/all"]
/** Settings of a single link that plugins look at. */
const OF_A_LINK = [
  "net/ipv4/conf/NAME/route_localnet",
  "net/ipv6/conf/NAME/accept_ra",
  "net/ipv6/conf/NAME/disable_ipv6",
]

function readSysctls(own: Sysctls, links: readonly Link[]): (readonly [string, string])[] {
  const common = OF_ALL_LINKS.flatMap((directory) => {
    const names = unlessMissing(() => listDirectory(`/proc/sys/${directory}`)) ?? []
    return names.filter((name) => name !== "forwarding").map((name) => `${directory}/${name}`)
  })
  const looked = links.filter(({ alias }) => !attachmentInAlias(alias)) // nobody looks at those of other pods' links
  const single = looked.flatMap(({ name }) => OF_A_LINK.map((setting) => setting.replace("NAME", () => name)))
  return [...NODE_WIDE, ...common, ...single].flatMap((name) => {
    const value = readIfPossible(own, name)
    return value === undefined ? [] : [[name, value] as const]
  })
}

/** Returns the value; undefined if it cannot be read: some can only be written. */
function readIfPossible(own: Sysctls, name: string): string | undefined {
  try {
    return own.readSysctl(name)
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
