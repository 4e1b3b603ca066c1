import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import { families } from "../../lib/ip/address.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readPortmapConfig } from "./config.ts"
import { layoutOf, refuseForeign } from "./hostport/layout.ts"
import { noticeLegacyRules } from "./iptables/notices.ts"
import { collect, remove } from "./remove.ts"

/** Leads ports of the node to pods. */
export const portmap = chainedPlugin({
  name: "portmap",
  behind: "bridge or the like",
  readConfig: readPortmapConfig,
  isIdle: ({ mappings }) => mappings.length === 0,
  add,
  check,
  status: ({ nfnetlink }, { backend }, { log }) => {
    readGeneration(nfnetlink)
    if (backend !== "nftables") noticeLegacyRules(log)
    for (const family of families) refuseForeign(nfnetlink, layoutOf(family))
  },
  remove,
  collect,
})
