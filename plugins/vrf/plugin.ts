import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import { atLeast, versions } from "../../lib/cni/version.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readVrfConfig } from "./config.ts"
import { remove } from "./remove.ts"

/** Puts pods' interfaces into VRFs, which have a routing table of their own. Chained after the plugin that makes the interface. */
export const vrf = chainedPlugin({
  name: "vrf",
  versions: versions.filter((version) => atLeast(version, "0.3.1")),
  behind: "bridge, ptp, macvlan or the like",
  readConfig: readVrfConfig,
  isIdle: () => false,
  add,
  check,
  status: () => {},
  remove: (_host, _attachment, call) => remove(call),
  collect: () => {}, // VRFs live and die with their pods' namespaces
})
