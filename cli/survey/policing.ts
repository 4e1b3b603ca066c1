import { attributeSet, nested, text, u32 } from "../../lib/netlink/attribute.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import type { Writer } from "../../lib/netlink/writer.ts"
import { readText, unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"

/** TCA_ACT_* */
const action = attributeSet({ kind: [1, text, "TCA_ACT_KIND"], index: [3, u32, "TCA_ACT_INDEX"] })
const actions = attributeSet({ first: [1, nested(action), "TCA_ACT_TAB"] })
const table = attributeSet({ actions: [1, nested(actions), "TCA_ROOT_TAB"] })
const RTM_GETACTION = 50

/**
 * Says if the kernel can police (`tc ... action police`), or has a module for it that it loads when it is needed; undefined if that cannot be
 * seen.
 */
export function canPolice(rtnetlink: Conversation): boolean | undefined {
  if (knowsPolice(rtnetlink)) return true
  const isModular = unlessMissing(() => fileStatus("/proc/modules")) !== undefined
  if (!isModular) return false
  const release = readText("/proc/sys/kernel/osrelease", 256).trim()
  const modules = unlessMissing(() => readText(`/lib/modules/${release}/modules.dep`))
  return modules?.includes("/act_police.ko")
}

/** Asks for an action that is not there: EINVAL says that the kernel knows none of that kind. */
function knowsPolice(rtnetlink: Conversation): boolean {
  try {
    const asked = "read an action of kind police"
    const first = { kind: "police", index: 1 }
    const write = (writer: Writer) => table.write(writer.u32(0), { actions: { first } })
    rtnetlink.execute({ asked, type: RTM_GETACTION, write })
    return true
  } catch (error) {
    if (refusedWith(error, "EINVAL")) return false
    if (refusedWith(error, "ENOENT")) return true
    throw error
  }
}
