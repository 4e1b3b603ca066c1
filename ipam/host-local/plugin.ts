import { ipamPlugin } from "../../lib/cni/ipam-plugin.ts"
import { add } from "./add.ts"
import { advised } from "./advice.ts"
import { check } from "./check.ts"
import { readHostLocal } from "./config.ts"
import { del } from "./del.ts"
import { gc } from "./gc.ts"
import { status } from "./status.ts"

/** Leases addresses from the ranges of the configuration, each to one attachment on this node. */
export const hostLocal = ipamPlugin({
  name: "host-local",
  readConfig: ({ config, environment }) => readHostLocal(config, environment.args),
  add: advising(add),
  check: advising(check),
  status: advising(status),
  free: advising(del),
  collect: advising(gc),
})

function advising<Arguments extends unknown[], Value>(verb: (...of: Arguments) => Value): (...of: Arguments) => Value {
  return (...of) => advised(() => verb(...of))
}
