import { constants } from "node:os"
import type { Host } from "../host.ts"

const { ENOSYS } = constants.errno

/**
 * Functions that only `native/` has: those that the operator's executable alone uses, which puts another program in its own place and waits for
 * signals, and those that do for speed what TypeScript does as well.
 */
export const nativeOnly = {
  awaitSignal: () => -ENOSYS,
  relay: () => -ENOSYS,
  endAlike: () => process.exit(1),
  become: () => -ENOSYS,
  writeAttributes: () => -1,
  readAttributes: () => undefined,
} satisfies Partial<Host>
