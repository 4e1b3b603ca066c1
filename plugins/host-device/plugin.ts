import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { namesDevice, readHostDeviceConfig } from "./config.ts"
import { requireDevice } from "./device.ts"
import { collect, remove } from "./remove.ts"
import { isDrivenByProgram } from "./sysfs.ts"

/** Gives pods a device of the node: its link moves into the pod's namespace, and back by DEL. */
export const hostDevice = interfacePlugin({
  name: "host-device",
  readConfig: readHostDeviceConfig,
  add,
  check,
  status: (host, config) => {
    if (namesDevice(config) && !isDrivenByProgram(config)) requireDevice(host, config)
  },
  removes: { remove, collect },
})
