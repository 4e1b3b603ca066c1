import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { noticeLegacyNat } from "../../lib/attachment/iptables-masquerade.ts"
import { vethPairs } from "../../lib/attachment/lifecycle.ts"
import { masqueradeRules } from "../../lib/attachment/masquerade.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { readGeneration } from "../../lib/netlink/netfilter/transaction.ts"
import { add } from "./add.ts"
import { readBridge } from "./bridge-link.ts"
import { check } from "./check.ts"
import { type BridgeConfig, readBridgeConfig } from "./config.ts"
import { macGuardRules } from "./mac-guard.ts"

/** Connects pods to a Linux bridge on the node by veth pairs. */
export const bridge = interfacePlugin({
  name: "bridge",
  readConfig: readBridgeConfig,
  add,
  check,
  status,
  removes: vethPairs([masqueradeRules, macGuardRules]),
})

function status(host: NetworkStack, { bridge, ipMasq, macspoofchk }: BridgeConfig, { log }: Call): void {
  readBridge(host.rtnetlink, bridge)
  if (ipMasq || macspoofchk) readGeneration(host.nfnetlink)
  if (ipMasq === "iptables") noticeLegacyNat(log)
}
