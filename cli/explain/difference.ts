import { Fields } from "../../lib/cni/fields.ts"
import type { JsonObject } from "../../lib/cni/json.ts"
import { formatAddress, isLinkLocal } from "../../lib/ip/address.ts"
import { formatPrefix, isDefault } from "../../lib/ip/prefix.ts"
import { type Message, NLM_F_APPEND } from "../../lib/netlink/message.ts"
import { SUBSYSTEM, typeOf } from "../../lib/netlink/netfilter/nfnetlink.ts"
import { nfnetlink } from "../../lib/netlink/netfilter/protocol.ts"
import { printMessage } from "../../lib/netlink/protocol.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import { type Route, tableName } from "../../lib/netlink/route/route.ts"
import { nftCommand } from "./nft-words.ts"
import type { RulesetCopy } from "./ruleset-copy.ts"
import type { StackCopy } from "./stack-copy.ts"
import { type Naming, Untold } from "./told.ts"

/** Returns lines about what is in the second state and not in the first, and the other way round: in the words of `ip` and `nft`. */
export function differenceOf(before: StackCopy, after: StackCopy): string[] {
  const [old, now] = [linesOf(before), linesOf(after)]
  const [had, has] = [new Set(old), new Set(now)]
  return [
    ...old.filter((line) => !has.has(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !had.has(line)).map((line) => `+ ${line}`),
    ...changedSysctls(before, after),
  ]
}

/** Those of new links are the kernel's choice. */
function changedSysctls(before: StackCopy, after: StackCopy): string[] {
  const old = new Map(before.sysctls)
  const changed = after.sysctls.filter(([name, value]) => old.has(name) && old.get(name) !== value)
  return changed.map(([name, value]) => `+ sysctl ${name} = ${value}`)
}

function linesOf({ links, addresses, routes, ruleset }: StackCopy): string[] {
  const nameOf = (index: number) => links.find((link) => link.index === index)?.name ?? `if${index}`
  return [
    ...links.map((link) => linkLine(link, nameOf)),
    ...addresses
      .filter(({ prefix }) => !isLinkLocal(prefix.address))
      .map(({ prefix, index }) => `address ${formatPrefix(prefix)} dev ${nameOf(index)}`),
    ...routes.filter(({ dst }) => !isLinkLocal(dst.address)).map((route) => routeLine(route, nameOf)),
    ...rulesetLines(ruleset),
  ]
}

type NameOf = (index: number) => string

function linkLine({ name, kind, up, mtu, master, alias, port }: Link, nameOf: NameOf): string {
  const words = [
    ...[`link ${name}:`, kind, up ? "up" : "down", `mtu ${mtu}`],
    ...[master > 0 && `master ${nameOf(master)}`, alias && `alias ${JSON.stringify(alias)}`],
    ...[port?.hairpin && "hairpin on", port?.isolated && "isolated on"],
  ]
  return words.filter(Boolean).join(" ")
}

function routeLine({ dst, table, priority, source, hops }: Route, nameOf: NameOf): string {
  const ways = hops.map(
    ({ index, gateway }) => `${gateway ? `via ${formatAddress(gateway)} ` : ""}dev ${nameOf(index)}`,
  )
  const more = [source && `src ${formatAddress(source)}`, priority > 0 && `metric ${priority}`]
  const name = isDefault(dst) && dst.address.family === 4 ? "default" : formatPrefix(dst)
  return ["route", name, ...ways, ...more, tableName(table) !== "main" && `table ${tableName(table)}`]
    .filter(Boolean)
    .join(" ")
}

const NOTHING: Naming = { link: String, handle: () => undefined, isFirstRoute: () => true, other: "", ticks: 1 }

function rulesetLines(ruleset: RulesetCopy): string[] {
  return ruleset.flatMap(({ family, name, objects }) =>
    objects.map(({ message, payload }) => {
      const whole: Message = { type: typeOf(SUBSYSTEM.NFTABLES, message), flags: NLM_F_APPEND, sequence: 0, payload }
      try {
        const words = nftCommand(new Fields(withoutNumbers(printMessage(nfnetlink, whole, payload))), NOTHING)
        return words.filter((word) => word !== "add").join(" ")
      } catch (error) {
        if (error instanceof Untold) return `something in table ${family} ${name}: ${error.message}`
        throw error
      }
    }),
  )
}

/** Leaves out which rule it is, and behind which one: the kernel says so of each. */
function withoutNumbers(message: object): JsonObject {
  const { attributes = {}, ...rest } = message as { attributes?: JsonObject }
  const { NFTA_RULE_HANDLE: _, "#6": __, ...kept } = attributes
  return { ...rest, attributes: kept }
}
