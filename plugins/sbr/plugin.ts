import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import { listPolicyRules } from "../../lib/netlink/route/rule.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readSbrConfig } from "./config.ts"
import { remove } from "./remove.ts"
import { takeBack } from "./take-back.ts"

/** Routes packets by their source address. Chained after the plugin that makes the interface. */
export const sbr = chainedPlugin({
  name: "sbr",
  behind: "bridge, ptp, macvlan or the like",
  readConfig: readSbrConfig,
  isIdle: () => false,
  add,
  check,
  status: ({ rtnetlink }) => void listPolicyRules(rtnetlink), // a kernel may be built without rules
  remove: (_host, _attachment, call) => remove(call),
  takeBack: (_host, _attachment, call) => takeBack(call),
  collect: () => {}, // all of it is in the pod
})
