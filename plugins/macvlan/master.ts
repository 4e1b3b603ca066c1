import { invalidConfig } from "../../lib/cni/errors.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { findUplink } from "../../lib/net/uplink.ts"
import { type Link, readLink } from "../../lib/netlink/route/link.ts"
import type { MacvlanConfig } from "./config.ts"

/** Returns the macvlan's master, a link of `source`. Throws code 7 if there is none, or if its MTU is less than the config's. */
export function findMaster({ rtnetlink }: NetworkStack, { master, mtu, linkInContainer }: MacvlanConfig): Link {
  const key = master || findUplink(rtnetlink)
  const where = linkInContainer ? "in the pod" : "on the node"
  if (key === undefined) {
    throw invalidConfig("master", `no default route ${where} names an interface`, 'name one: "master": "eth0"')
  }
  const link = readLink(rtnetlink, key)
  if (!link) throw invalidConfig("master", `there is no interface ${JSON.stringify(key)} ${where}`)
  if (mtu > link.mtu) throw invalidConfig("mtu", `invalid MTU ${mtu}, must be [0, master MTU(${link.mtu})]`)
  return link
}
