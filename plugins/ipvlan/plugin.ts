import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { findMaster } from "../../lib/attachment/master.ts"
import { podLinks } from "../../lib/attachment/pod-link.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readIpvlanConfig } from "./config.ts"

/** Gives pods an interface on one of the node's networks that shares the MAC address of the node's. */
export const ipvlan = interfacePlugin({
  name: "ipvlan",
  readConfig: readIpvlanConfig,
  add,
  check,
  status: (host, config) => {
    // Without a name it is the default route's, or in a chain the previous plugin's, which STATUS cannot know.
    if (config.master !== "" && !config.linkInContainer) findMaster(host, config)
  },
  removes: podLinks({ kind: "ipvlan", sharesMac: true }),
})
