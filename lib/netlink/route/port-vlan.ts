import { attributeSet, bytes, nested, printed, repeated, u16, u32, WireError } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import type { Message } from "../message.ts"
import { Writer } from "../writer.ts"
import { HEADER, headerOf, writeHeader } from "./link-header.ts"
import { AF, RTM } from "./rtm.ts"

/** IFLA_BRIDGE_*: struct bridge_vlan_info is flags and id, 16 bits each. */
const bridgeSpec = attributeSet({
  flags: [0, u16, "IFLA_BRIDGE_FLAGS"],
  vlan: [2, repeated(printed(bytes, decodeVlan)), "IFLA_BRIDGE_VLAN_INFO"],
})

/** IFLA_* as the bridge family uses them. */
export const bridgeLink = attributeSet({
  spec: [26, nested(bridgeSpec), "IFLA_AF_SPEC"],
  mask: [29, u32, "IFLA_EXT_MASK"],
})

const RTEXT_FILTER_BRVLAN = 2

/** One VLAN on a bridge port. */
export interface PortVlan {
  readonly id: number
  readonly pvid: boolean
  readonly untagged: boolean
}

const BRIDGE_FLAGS_MASTER = 1
const VLAN_PVID = 2
const VLAN_UNTAGGED = 4

/** Adds VLANs to a bridge port in one request. */
export function addPortVlans(rtnetlink: Conversation, port: number, vlans: readonly PortVlan[]): void {
  changePortVlans(rtnetlink, RTM.SETLINK, port, vlans)
}

export function removePortVlans(rtnetlink: Conversation, port: number, vlans: readonly PortVlan[]): void {
  changePortVlans(rtnetlink, RTM.DELLINK, port, vlans)
}

function changePortVlans(rtnetlink: Conversation, type: number, port: number, vlans: readonly PortVlan[]): void {
  const verb = type === RTM.SETLINK ? "add" : "remove"
  rtnetlink.execute({
    asked: `${verb} VLAN ${vlans.map(({ id }) => id).join(", ")} of bridge port ${port}`,
    type,
    write: (writer) =>
      bridgeLink.write(writeHeader(writer, { family: AF.BRIDGE, index: port }), {
        spec: { flags: BRIDGE_FLAGS_MASTER, vlan: vlans.map(encodeVlan) },
      }),
  })
}

function encodeVlan({ id, pvid, untagged }: PortVlan): Uint8Array {
  return new Writer().u16((pvid ? VLAN_PVID : 0) | (untagged ? VLAN_UNTAGGED : 0)).u16(id).bytes
}

/** Returns the VLANs on a bridge port. Reads those of all ports: the kernel has no request for one. */
export function readPortVlans(rtnetlink: Conversation, port: number): PortVlan[] {
  const request: Request = {
    asked: `list VLANs of bridge port ${port}`,
    type: RTM.GETLINK,
    write: (writer) => bridgeLink.write(writeHeader(writer, { family: AF.BRIDGE }), { mask: RTEXT_FILTER_BRVLAN }),
  }
  const isOurs = (message: Message) => message.type === RTM.NEWLINK && headerOf(message).index === port
  const { values } = rtnetlink.dump(request, (message) => (isOurs(message) ? decodePortVlans(message) : undefined))
  return values[0] ?? []
}

/** Returns the VLANs that an RTM_NEWLINK of the bridge family describes. Throws WireError. */
export function decodePortVlans({ payload }: Message): PortVlan[] {
  return (bridgeLink.read(payload, HEADER).spec?.vlan ?? []).map(decodeVlan)
}

function decodeVlan(payload: Uint8Array): PortVlan {
  if (payload.length < 4) throw new WireError("VLAN of less than 4 bytes", payload.byteOffset)
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const flags = view.getUint16(0, true)
  return { id: view.getUint16(2, true), pvid: (flags & VLAN_PVID) !== 0, untagged: (flags & VLAN_UNTAGGED) !== 0 }
}
