import { type Task, testUnderLimits } from "../../executable/limited.ts"
import { ofLan, plugIn } from "../../plugins/macvlan/network.ts"
import { prepare } from "../../plugins/tuning/network.ts"
import { trunk } from "../../plugins/vlan/network.ts"
import { STATIC } from "../subjects.ts"

const TASKS: Readonly<Record<string, Task>> = {
  dummy: () => ({ ipam: STATIC }),
  ipvlan: (node) => {
    plugIn(node)
    return { master: "uplink", ipam: ofLan(node) }
  },
  vlan: (node) => {
    trunk(node)
    return { master: "uplink", vlanId: 5, ipam: ofLan(node) }
  },
  vrf: (node, pod) => ({ vrfname: "blue", ...prepare(node, pod) }),
}

testUnderLimits(TASKS, ["ulimit -v 4200", "ulimit -n 3", "memory.max 4 MB"])
