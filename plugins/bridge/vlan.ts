import { gatewayPortName } from "../../lib/attachment/names.ts"
import { localMac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { refuseAdvertisements } from "../../lib/net/ipv6.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { refusedWith } from "../../lib/netlink/kernel-error.ts"
import { changeLink, type Link, readLink } from "../../lib/netlink/route/link.ts"
import { createVeth } from "../../lib/netlink/route/new-link.ts"
import { addPortVlans, type PortVlan, readPortVlans, removePortVlans } from "../../lib/netlink/route/port-vlan.ts"
import { randomBytes } from "../../lib/sys/digest.ts"
import { portMac } from "./bridge-link.ts"

/** The VLANs of a bridge port: its own untagged one, and those it carries tagged. */
export interface PortVlans {
  /** 0 is none. */
  readonly vlan: number
  readonly trunk: readonly number[]
  /** Keep the VLANs that the bridge gave the new port, usually VLAN 1. */
  readonly keepDefault: boolean
}

/** Makes the port carry exactly these VLANs, and with `keepDefault` also those it had. */
export function setPortVlans(rtnetlink: Conversation, port: number, { vlan, trunk, keepDefault }: PortVlans): void {
  if (vlan === 0 && trunk.length === 0) return
  if (!keepDefault) {
    const present = readPortVlans(rtnetlink, port)
    if (present.length > 0) removePortVlans(rtnetlink, port, present)
  }
  const native: PortVlan = { id: vlan || 1, pvid: true, untagged: true }
  const tagged = trunk.map((id) => ({ id, pvid: false, untagged: false }))
  addPortVlans(rtnetlink, port, [...tagged, native])
}

/**
 * Returns the interface `<bridge>.<vlan>`, up, by which the node takes part in one VLAN of a bridge: a veth whose peer is a port of the
 * bridge. Makes it if it is missing; nothing removes it.
 */
export function ensureGatewayInterface(host: NetworkStack, bridge: Link, vlan: number, keepDefault: boolean): Link {
  const { rtnetlink } = host
  const name = `${bridge.name}.${vlan}`
  const link = readLink(rtnetlink, name) ?? createGatewayInterface(rtnetlink, bridge, name)
  const port = link?.kind === "veth" ? readLink(rtnetlink, link.peer) : undefined
  if (!link || port?.master !== bridge.index) {
    throw new Conflict(
      `${JSON.stringify(name)} already exists but does not lead to bridge ${bridge.name}`,
      "remove that interface, or use another bridge or VLAN",
    )
  }
  if (!readPortVlans(rtnetlink, port.index).some(({ id, pvid }) => id === vlan && pvid)) {
    setPortVlans(rtnetlink, port.index, { vlan, trunk: [], keepDefault })
  }
  for (const end of [port, link].filter(({ up }) => !up)) {
    refuseAdvertisements(host, end.name)
    host.trySysctl(`net/ipv6/conf/${end.name}/accept_dad`, "0")
    changeLink(rtnetlink, end.index, end.name, { up: true })
  }
  return link
}

function createGatewayInterface(rtnetlink: Conversation, bridge: Link, name: string): Link | undefined {
  const { index: master, mtu } = bridge
  const port = { name: gatewayPortName(name), mac: portMac(bridge), mtu, master }
  try {
    createVeth(rtnetlink, { ...port, peer: { name, mac: localMac(randomBytes(6)), mtu } })
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error // made by another ADD at the same moment
  }
  return readLink(rtnetlink, name)
}
