import type { Log } from "../cni/log.ts"

/** Says nothing: for calls made in tests. */
export const silentLog: Log = { removed() {}, noticed() {}, timed: (_phase, step) => step() }
