import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { namesDevice, readHostDeviceConfig } from "./config.ts"
import { assertExists } from "./device.ts"
import { collect, remove } from "./remove.ts"

/** Gives pods a device of the node: its link moves into the pod's namespace, and back by DEL. */
export const hostDevice = interfacePlugin({
  name: "host-device",
  readConfig: readHostDeviceConfig,
  add,
  check,
  status: (host, config) => {
    if (namesDevice(config)) assertExists(host, config)
  },
  removes: { remove, collect },
})
