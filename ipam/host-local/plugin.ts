import type { Call, Plugin } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { add } from "./add.ts"
import { advised } from "./advice.ts"
import { check } from "./check.ts"
import { del } from "./del.ts"
import { gc } from "./gc.ts"
import { status } from "./status.ts"

/** Leases addresses from the ranges of the configuration, one owner each on this node. */
export const hostLocal: Plugin = {
  name: "host-local",
  versions,
  ipam: true,
  add: advising(add),
  del: advising(del),
  check: advising(check),
  gc: advising(gc),
  status,
}

function advising<Value>(verb: (call: Call) => Value): (call: Call) => Value {
  return (call) => advised(() => verb(call))
}
