import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readDenyConfig } from "./config.ts"
import { collect, remove } from "./remove.ts"

/** Keeps pods from networks, such as the address at which clouds tell machines their secrets. */
export const deny = chainedPlugin({
  name: "deny",
  behind: "bridge or ptp",
  readConfig: readDenyConfig,
  isIdle: ({ to }) => to.length === 0,
  add,
  check,
  status: ({ nfnetlink }) => void readGeneration(nfnetlink),
  remove,
  collect,
})
