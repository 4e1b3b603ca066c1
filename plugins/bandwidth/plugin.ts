import type { Plugin } from "../../lib/cni/plugin.ts"
import { atLeast, versions } from "../../lib/cni/version.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { del, takeBack } from "./del.ts"
import { gc } from "./gc.ts"
import { status } from "./status.ts"

/** Limits what a pod receives and sends. Chained after a plugin that made a veth pair; older results have no room for its interfaces. */
export const bandwidth: Plugin = {
  name: "bandwidth",
  versions: versions.filter((version) => atLeast(version, "0.3.0")),
  add,
  del,
  takeBack,
  check,
  gc,
  status,
}
