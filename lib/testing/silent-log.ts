import type { Log } from "../cni/log.ts"

/** For calls made in tests: says nothing. */
export const silentLog: Log = { removed() {}, noticed() {}, timed: (_phase, step) => step() }
