import { collectAttachments, removeAttachment } from "../../lib/attachment/lifecycle.ts"
import type { Plugin } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { status } from "./status.ts"

/** Connects each pod to the node by a veth pair of its own, with routes instead of a bridge. */
export const ptp: Plugin = { name: "ptp", versions, add, del: removeAttachment, check, gc: collectAttachments, status }
