import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import { atLeast, versions } from "../../lib/cni/version.ts"
import type { Address } from "../../lib/ip/address.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readFirewallConfig } from "./config.ts"
import { withZone } from "./firewalld/meant.ts"
import { noticeLegacy } from "./notices.ts"
import { collect, remove } from "./remove.ts"

/** An address to ask firewalld for, which says that it has no such zone. */
const ANY: Address = { family: 4, value: 0xc0000201n }

/** Lets pods' traffic through the node, where its FORWARD chain would drop it. */
export const firewall = chainedPlugin({
  name: "firewall",
  versions: versions.filter((version) => atLeast(version, "0.4.0")),
  behind: "bridge or the like",
  readConfig: readFirewallConfig,
  isIdle: () => false,
  add,
  check,
  status: (host, config, { log }) => {
    readGeneration(host.nfnetlink)
    noticeLegacy(log)
    withZone(host, config, { log }, (zone) => void zone.has(ANY))
  },
  remove,
  collect,
})
