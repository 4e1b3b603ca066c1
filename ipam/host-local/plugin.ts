import { CniError, code } from "../../lib/cni/errors.ts"
import type { Call, Plugin } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { add } from "./add.ts"
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
  return (call) => {
    try {
      return verb(call)
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      const advice = "host-local needs a writable directory for its leases: ipam.dataDir, or else /var/lib/cni/networks"
      throw new CniError(code.file, error.message, advice, { cause: error })
    }
  }
}
