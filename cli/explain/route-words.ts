import type { Fields } from "../../lib/cni/fields.ts"
import { formatPrefix } from "../../lib/ip/prefix.ts"
import { type Route, tableName } from "../../lib/netlink/route/route.ts"
import { attributesOf, given, type Naming, Untold, type Words, within } from "./told.ts"

/** Returns the command that does what an RTM_NEWADDR or RTM_DELADDR asks for. Throws Untold. */
export function addressCommand(message: Fields, naming: Naming): Words {
  const verb = message.string("type") === "RTM_NEWADDR" ? "add" : "del"
  return ["ip", "addr", verb, ...addressWords(message, naming)]
}

/** Returns the words behind `ip addr add`. */
function addressWords(message: Fields, naming: Naming): string[] {
  const header = within(message, "header")
  const attributes = attributesOf(message, ["IFA_LOCAL", "IFA_ADDRESS", "IFA_BROADCAST", "IFA_FLAGS"])
  const [local, peer] = [attributes.string("IFA_LOCAL"), attributes.string("IFA_ADDRESS")]
  const length = header.integer("prefixlen")
  const flags = attributes.strings("IFA_FLAGS").filter((flag) => flag !== "permanent")
  const odd = flags.find((flag) => flag !== "nodad" && flag !== "noprefixroute")
  if (odd) throw new Untold(`the flag ${odd} of an address`)
  return [
    ...(local === undefined || local === peer ? [`${peer}/${length}`] : [local, "peer", `${peer}/${length}`]),
    ...given("brd", attributes.string("IFA_BROADCAST")),
    ...["dev", naming.link(header.integer("index") ?? 0)],
    ...flags,
  ]
}

const ROUTE = ["RTA_DST", "RTA_OIF", "RTA_GATEWAY", "RTA_PRIORITY", "RTA_PREFSRC", "RTA_METRICS", "RTA_TABLE"]

/** Returns the command that does what an RTM_NEWROUTE or RTM_DELROUTE asks for. Throws Untold. */
export function routeCommand(message: Fields, naming: Naming): Words {
  return ["ip", "route", routeVerb(message, naming), ...routeWords(message, naming)]
}

function routeVerb(message: Fields, { isFirstRoute }: Naming): string {
  const flags = message.strings("flags")
  const isFirst = isFirstRoute(destinationKey(message))
  if (message.string("type") === "RTM_DELROUTE") return "del"
  if (flags.includes("REPLACE")) return "replace"
  if (flags.includes("APPEND")) return "append"
  return flags.includes("EXCL") || isFirst ? "add" : "prepend"
}

/** The metric of IPv6 routes that say none. */
const IPV6_METRIC = 1024

/** Returns where the route leads, in which table and by which metric: of two such the kernel takes the first. */
function destinationKey(message: Fields): string {
  const [header, attributes] = [within(message, "header"), within(message, "attributes")]
  const table = attributes.get("RTA_TABLE") ?? header.get("table")
  const metric = attributes.integer("RTA_PRIORITY") || (header.string("family") === "inet6" ? IPV6_METRIC : 0)
  return `${attributes.string("RTA_DST")}/${header.integer("dst_len")} ${table} ${metric}`
}

/** Returns the same for a route that is there. */
export function keyOfRoute({ dst, table, priority }: Route): string {
  return `${formatPrefix(dst)} ${tableName(table)} ${priority}`
}

/** Returns the words behind `ip route add`. */
function routeWords(message: Fields, naming: Naming): string[] {
  const [header, attributes] = [within(message, "header"), attributesOf(message, ROUTE)]
  const [gateway, on] = [attributes.string("RTA_GATEWAY"), attributes.integer("RTA_OIF")]
  const known = ["RTAX_MTU", "RTAX_ADVMSS"]
  const metrics = attributes.has("RTA_METRICS") ? within(attributes, "RTA_METRICS", known) : undefined
  const [type, table] = [header.string("type") ?? "", attributes.get("RTA_TABLE") ?? header.get("table")]
  return [
    ...(type === "unicast" ? [] : [type]),
    destination(header, attributes),
    ...given("via", gateway),
    ...(on === undefined ? [] : ["dev", naming.link(on)]),
    ...given("src", attributes.string("RTA_PREFSRC")),
    ...given("metric", attributes.integer("RTA_PRIORITY")),
    ...scopeWords(header, gateway),
    ...(header.get("protocol") === "boot" ? [] : ["proto", String(header.get("protocol"))]),
    ...(table === "main" ? [] : ["table", String(table)]),
    ...(metrics
      ? [...given("mtu", metrics.integer("RTAX_MTU")), ...given("advmss", metrics.integer("RTAX_ADVMSS"))]
      : []),
  ]
}

function destination(header: Fields, attributes: Fields): string {
  const [length, isIPv6] = [header.integer("dst_len") ?? 0, header.string("family") === "inet6"]
  if (length === 0) return isIPv6 ? "::/0" : "default"
  return length === (isIPv6 ? 128 : 32)
    ? `${attributes.string("RTA_DST")}`
    : `${attributes.string("RTA_DST")}/${length}`
}

/** Returns the scope, if it is not what `ip` chooses by itself. */
function scopeWords(header: Fields, gateway: string | undefined): string[] {
  const scope = header.string("scope")
  const usual = gateway === undefined && header.string("family") === "inet" ? "link" : "global"
  return scope === undefined || scope === usual || header.string("family") === "inet6" ? [] : ["scope", scope]
}

/** Returns the command that does what an RTM_NEWRULE or RTM_DELRULE asks for. Throws Untold. */
export function policyCommand(message: Fields): Words {
  const header = within(message, "header")
  const attributes = attributesOf(message, ["FRA_SRC", "FRA_PRIORITY", "FRA_TABLE"])
  if (header.string("action") !== "lookup") throw new Untold("a rule that looks up no table")
  const family = header.string("family") === "inet6" ? ["-6"] : []
  const verb = message.string("type") === "RTM_NEWRULE" ? "add" : "del"
  const source = attributes.string("FRA_SRC")
  return [
    ...["ip", ...family],
    ...given(`rule ${verb} from`, source === undefined ? "all" : `${source}/${header.integer("src_len")}`),
    ...["lookup", String(attributes.get("FRA_TABLE") ?? header.get("table"))],
    ...given("priority", attributes.integer("FRA_PRIORITY")),
  ]
}

/** Returns the command that does what an RTM_DELNEIGH asks for. Throws Untold. */
export function neighbourCommand(message: Fields, naming: Naming): Words {
  if (message.string("type") !== "RTM_DELNEIGH") throw new Untold("a neighbour")
  const index = within(message, "header").integer("index") ?? 0
  return ["ip", "neigh", "del", `${within(message, "attributes").string("NDA_DST")}`, "dev", naming.link(index)]
}
