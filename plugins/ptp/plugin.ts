import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { noticeLegacyNat } from "../../lib/attachment/iptables-masquerade.ts"
import { vethPairs } from "../../lib/attachment/lifecycle.ts"
import { masqueradeRules } from "../../lib/attachment/masquerade.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readPtpConfig } from "./config.ts"

/** Connects each pod to the node by a veth pair of its own, with routes instead of a bridge. */
export const ptp = interfacePlugin({
  name: "ptp",
  readConfig: readPtpConfig,
  add,
  check,
  status: ({ nfnetlink }, { ipMasq }, { log }) => {
    if (ipMasq) readGeneration(nfnetlink)
    if (ipMasq === "iptables") noticeLegacyNat(log)
  },
  removes: vethPairs([masqueradeRules]),
})
