import type { Family } from "../../../ip/address.ts"
import { readNamed, unlessMissing } from "../../../sys/file.ts"

/**
 * Names the tables that iptables-legacy has in this network namespace, with or without rules; none if the kernel has not its module. Their
 * rules are not among those of nf_tables.
 */
export function legacyTables(family: Family): string[] {
  const file = family === 4 ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names"
  const names = unlessMissing(() => readNamed(file, 4096)) ?? ""
  return names.split("\n").filter(Boolean)
}
