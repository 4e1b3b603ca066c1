import { readConfiguredMac } from "../../lib/attachment/interface-keys.ts"
import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { findMaster } from "../../lib/attachment/master.ts"
import { podLinks } from "../../lib/attachment/pod-link.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readMacvlanConfig } from "./config.ts"

/** Gives pods an interface of their own on one of the node's networks, by macvlan. */
export const macvlan = interfacePlugin({
  name: "macvlan",
  readConfig: readMacvlanConfig,
  add,
  check,
  status: (host, config, call) => {
    readConfiguredMac(call)
    if (!config.linkInContainer) findMaster(host, config)
  },
  removes: podLinks({ kind: "macvlan" }),
})
