import { interfacePlugin } from "../../lib/attachment/interface-plugin.ts"
import { podLinks } from "../../lib/attachment/pod-link.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readDummyConfig } from "./config.ts"

/** Gives pods an interface that leads nowhere, to hold addresses. */
export const dummy = interfacePlugin({
  name: "dummy",
  readConfig: readDummyConfig,
  add,
  check,
  status: () => {},
  removes: podLinks({ kind: "dummy" }),
})
