import type { Plugin } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { del } from "./del.ts"
import { gc } from "./gc.ts"
import { status } from "./status.ts"

/** Gives pods an interface of their own on one of the node's networks, by macvlan. */
export const macvlan: Plugin = { name: "macvlan", versions, add, del, check, gc, status }
