import { Conflict } from "../net/conflict.ts"

/** Returns the error of an ADD whose pod is attached already. */
export function alreadyAttached(message: string): Conflict {
  return new Conflict(message, "a pod is attached once per network and interface name: DEL the attachment first")
}
