import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { podLinks } from "../../lib/attachment/pod-link.ts"
import { add, findUpMaster } from "./add.ts"
import { check } from "./check.ts"
import { readVlanConfig } from "./config.ts"

/** Gives pods an interface in a VLAN of one of the node's networks. */
export const vlan = interfacePlugin({
  name: "vlan",
  readConfig: readVlanConfig,
  add,
  check,
  status: (host, config) => {
    if (!config.linkInContainer) findUpMaster(host, config)
  },
  removes: podLinks({ kind: "vlan", sharesMac: true }),
})
