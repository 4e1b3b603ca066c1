import { readConfiguredMac } from "../../lib/attachment/interface-keys.ts"
import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { podLinks } from "../../lib/attachment/pod-link.ts"
import { openTunDevice } from "../../lib/sys/tap.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readTapConfig } from "./config.ts"

/** Gives pods an interface whose other end a process of theirs opens, such as a virtual machine's. */
export const tap = interfacePlugin({
  name: "tap",
  readConfig: readTapConfig,
  add,
  check,
  status: (_host, _config, call) => {
    readConfiguredMac(call)
    openTunDevice()[Symbol.dispose]()
  },
  removes: podLinks({ kind: "tun" }),
})
