import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import { atLeast, versions } from "../../lib/cni/version.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readFirewallConfig } from "./config.ts"
import { noticeWhatIsNotSeen } from "./notices.ts"
import { collect, remove } from "./remove.ts"

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
    noticeWhatIsNotSeen(host, config, log)
  },
  remove,
  collect,
})
