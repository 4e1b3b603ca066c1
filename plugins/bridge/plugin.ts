import { collectAttachments, removeAttachment } from "../../lib/attachment/lifecycle.ts"
import type { Plugin } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { status } from "./status.ts"

/** Connects pods to a Linux bridge on the node by veth pairs. */
export const bridge: Plugin = {
  name: "bridge",
  versions,
  add,
  del: removeAttachment,
  check,
  gc: collectAttachments,
  status,
}
