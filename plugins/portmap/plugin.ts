import type { Plugin } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { del } from "./del.ts"
import { gc } from "./gc.ts"
import { status } from "./status.ts"

/** Leads ports of the node to pods. */
export const portmap: Plugin = { name: "portmap", versions, add, del, check, gc, status }
