import { CniError, code } from "../../lib/cni/errors.ts"
import { failedWith, SystemError } from "../../lib/sys/system-error.ts"

/** Does `action`; if a file cannot be used, throws an error that says what to do. */
export function advised<Value>(action: () => Value): Value {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    throw new CniError(code.file, error.message, adviceOn(error), { cause: error })
  }
}

/** flock on NFS fails with EBADF if the file is open for reading only. */
const NO_LOCKS = ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EBADF"] as const

function adviceOn(error: SystemError): string {
  if (failedWith(error, ...NO_LOCKS)) {
    return "its file system has no locks of flock(2), like some network file systems: keep leases on a local one, see ipam.dataDir"
  }
  return "host-local needs a writable directory for its leases: ipam.dataDir, or else /var/lib/cni/networks"
}
