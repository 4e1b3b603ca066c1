import { changed, invalidConfig } from "../cni/errors.ts"
import type { Fields } from "../cni/fields.ts"
import { Conflict } from "../net/conflict.ts"
import type { NetworkStack } from "../net/stack.ts"
import { findUplink } from "../net/uplink.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
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
    linkInContainer: fields.flag("linkInContainer"),
    mtu: readMtu(fields),
  }
}

/** The index of `lo` in every network namespace. */
const LOOPBACK = 1

/** Returns the master, a link of the node, or of the pod with `linkInContainer`. Throws code 7 if it cannot be one, or if its MTU is less than the config's. */
export function findMaster(source: NetworkStack, config: OnMaster): Link {
  const { mtu } = config
  const link = readMaster(source, config)
  if (link.index === LOOPBACK) {
    const problem = `interface ${JSON.stringify(link.name)} is the loopback, which leads to no network`
    throw invalidConfig("master", problem, "name another interface")
  }
  if (mtu > link.mtu) throw invalidConfig("mtu", `invalid MTU ${mtu}, must be [0, master MTU(${link.mtu})]`)
  return link
}

function readMaster({ rtnetlink }: NetworkStack, { master, linkInContainer }: OnMaster): Link {
  const key = master || findUplink(rtnetlink)
  const where = linkInContainer ? "in the pod" : "on the node"
  if (key === undefined) {
    throw invalidConfig("master", `no default route ${where} names an interface`, 'name one: "master": "eth0"')
  }
  const link = readLink(rtnetlink, key)
  if (!link) throw invalidConfig("master", `there is no interface ${JSON.stringify(key)} ${where}`)
  return link
}

/** Throws unless the pod's link is on the master that the config names: the default route may have moved since ADD. */
export function checkMaster(source: NetworkStack, config: OnMaster, { name, peer }: Link): void {
  if (config.master === "") return // a link whose master is gone is gone itself
  const master = readMaster(source, config)
  if (peer !== master.index) throw changed(`${name} is not on ${master.name}`)
}

/**
 * Calls `create`, which makes a link of this kind on the master. Throws Conflict if the kernel gives the master's packets to others already: to
 * a bridge or bond, to macvlans, or to ipvlans.
 */
export function onSharedMaster(kind: string, { name, master }: Link, create: () => void): void {
  try {
    create()
  } catch (error) {
    if (!refusedWith(error, "EBUSY")) throw error
    const others = master === 0 ? "links of another kind are" : "it is a port of a bridge or bond"
    throw new Conflict(
      `no ${kind} can be on interface ${JSON.stringify(name)}: ${others}`,
      "an interface has macvlans, ipvlans, or one bridge or bond, never two of these: choose another master",
    )
  }
}
