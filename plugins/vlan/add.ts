import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { findMaster, type OnMaster } from "../../lib/attachment/master.ts"
import { configurePodLink, createPodLink } from "../../lib/attachment/pod-link.ts"
import type { Result } from "../../lib/cni/result.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import { createVlan } from "../../lib/netlink/route/new-link.ts"
import type { VlanConfig } from "./config.ts"
import { findHolder } from "./holder.ts"

/** Gives one pod an interface in the VLAN of the master. */
export function add(context: AddContext<VlanConfig>): Result {
  const { config, host, pod } = context
  const source = config.linkInContainer ? pod : host
  const link = createInVlan(context, source, findUpMaster(source, config))
  return configurePodLink(context, link, config.mtu === 0 ? "master" : "mtu")
}

/** As findMaster. Throws Conflict if it is down: no VLAN interface on it can be up. */
export function findUpMaster(source: NetworkStack, config: OnMaster): Link {
  const master = findMaster(source, config)
  if (master.up) return master
  const { name } = master
  throw new Conflict(`master ${JSON.stringify(name)} is down`, `set it up: ip link set ${name} up`)
}

function createInVlan(context: AddContext<VlanConfig>, source: NetworkStack, master: Link): Link {
  const { config, attachment, pod, undo } = context
  const { vlanId: id, mtu } = config
  try {
    return createPodLink(
      pod,
      {
        attachment,
        source,
        create: (rtnetlink, named) => createVlan(rtnetlink, { on: master.index, id, mtu, ...named }),
      },
      undo,
    )
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
    const advice = "a VLAN has one interface on a master: DEL that attachment, or choose another vlanId"
    const holder = findHolder(source, master, id)
    throw new Conflict(`VLAN ${id} of ${JSON.stringify(master.name)} is taken${holder ? ` by ${holder}` : ""}`, advice)
  }
}
