import { constants } from "node:os"
import type { Host } from "../host.ts"

const { ENOSYS } = constants.errno

/** Functions that the operator's executable alone uses: it puts another program in its own place, and waits for signals. */
export const nativeOnly = {
  awaitSignal: () => -ENOSYS,
  relay: () => -ENOSYS,
  endAlike: () => process.exit(1),
  become: () => -ENOSYS,
} satisfies Partial<Host>
