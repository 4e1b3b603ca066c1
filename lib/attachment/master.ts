import { invalidConfig } from "../cni/errors.ts"
import type { Fields } from "../cni/fields.ts"
import type { NetworkStack } from "../net/stack.ts"
import { findUplink } from "../net/uplink.ts"
import { type Link, readLink } from "../netlink/route/link.ts"
import { readMtu } from "./interface-keys.ts"

/** The configuration of a plugin whose links are on another link, their master. */
export interface OnMaster {
  /** Empty: the link of the default route. */
  readonly master: string
  /** The master is a link of the pod, not of the node. */
  readonly linkInContainer: boolean
  /** 0: the master's. */
  readonly mtu: number
}

/** Reads the keys that say which link is the master, and the MTU. */
export function readOnMaster(fields: Fields): OnMaster {
  return {
    master: fields.string("master") ?? "",
    linkInContainer: fields.boolean("linkInContainer") ?? false,
    mtu: readMtu(fields),
  }
}

/** Returns the master, a link of the node, or of the pod with `linkInContainer`. Throws code 7 if there is none, or if its MTU is less than the config's. */
export function findMaster({ rtnetlink }: NetworkStack, { master, mtu, linkInContainer }: OnMaster): Link {
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
