import type { Family } from "../../lib/ip/address.ts"
import { Descriptor } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { AF_INET, AF_INET6, SOCK_DGRAM } from "../../lib/sys/socket-kinds.ts"
import { checked } from "../../lib/sys/system-error.ts"

/** linux/netfilter_ipv4/ip_tables.h: IPT_SO_GET_INFO, also IP6T_SO_GET_INFO. */
const GET_INFO = 64
const LEVELS = { 4: 0, 6: 41 } as const
/** struct ipt_getinfo: the table's name, a bit for each of its chains, two lists of five offsets, and the number of entries. */
const [INFO_BYTES, CHAINS_AT, ENTRIES_AT] = [84, 32, 76]

/** Counts the rules that iptables-legacy has in a table that is there: in its own chains beside their policies, and in others. Throws SystemError. */
export function countLegacyRules(family: Family, table: string): number {
  using socket = new Descriptor(checked("open a socket", host.socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0)))
  const info = new Uint8Array(INFO_BYTES)
  info.set(host.encode(table))
  checked(`read table ${table} of iptables-legacy`, host.getOption(socket.fd, LEVELS[family], GET_INFO, info))
  const view = new DataView(info.buffer)
  const chains = [...view.getUint32(CHAINS_AT, true).toString(2)].filter((bit) => bit === "1").length
  return view.getUint32(ENTRIES_AT, true) - chains - 1 // the policies, and the mark of the end
}
