import { encode } from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import { NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { Writer } from "../writer.ts"
import {
  bridgeData,
  type IpvlanMode,
  ipvlanData,
  ipvlanModes,
  type LinkValues,
  linkAttributes,
  type MacvlanMode,
  macvlanData,
  macvlanModes,
  vethData,
  vlanData,
  vrfData,
} from "./link-attributes.ts"
import { writeHeader } from "./link-header.ts"
import { RTM } from "./rtm.ts"

/** A bridge to make. It keeps its MAC address, whatever ports come and go. */
export interface NewBridge {
  readonly name: string
  readonly mac: Uint8Array
  /** Until it is changed the bridge follows its ports' MTU, back to 1500 without any. 0 leaves the choice to the kernel. */
  readonly mtu: number
  readonly vlanFiltering: boolean
}

/** Makes a bridge. Throws EEXIST if the name is taken. */
export function createBridge(rtnetlink: Conversation, { name, mac, mtu, vlanFiltering }: NewBridge): void {
  const data = vlanFiltering ? encode(bridgeData, { vlanFiltering: 1 }) : undefined
  create(rtnetlink, `create bridge ${name}`, { name, mac, mtu: mtu || undefined, info: { kind: "bridge", data } })
}

/** A veth to make in one request with its peer, which is at once in its namespace. */
export interface NewVeth extends VethEnd {
  readonly master?: number | undefined
  /** `namespace` is an open file descriptor of a network namespace; absent: that of the veth. */
  readonly peer: VethEnd & { readonly namespace?: number | undefined }
}

export interface VethEnd {
  readonly name: string
  readonly mac: Uint8Array
  readonly mtu: number
}

/** Makes a veth pair, both ends down. Throws EEXIST if either name is taken. */
export function createVeth(rtnetlink: Conversation, { name, mac, mtu, master, peer }: NewVeth): void {
  const peerMessage = new Writer()
  linkAttributes.write(writeHeader(peerMessage, {}), { ...peer, mtu: peer.mtu || undefined })
  const values = {
    name,
    mac,
    mtu: mtu || undefined,
    master,
    info: { kind: "veth", data: encode(vethData, { peer: peerMessage.bytes }) },
  }
  create(rtnetlink, `create veth pair ${name} and ${peer.name}`, values)
}

/** A link to make on another one, of which it uses the wire. */
export interface NewUpperLink {
  readonly name: string
  /** The index of the link it is on. */
  readonly on: number
  /** 0: that of the link it is on. */
  readonly mtu: number
  /** An open file descriptor of its namespace; absent: that of the link it is on. */
  readonly namespace?: number | undefined
}

export interface NewMacvlan extends NewUpperLink {
  readonly mode: MacvlanMode
  /** Undefined: a random one, or in mode passthru that of the link it is on. */
  readonly mac?: Uint8Array | undefined
  /** The length of the queue for broadcast packets; 0: the kernel's choice. */
  readonly broadcastQueue: number
}

/** Makes a macvlan, down. Throws EEXIST if the name is taken, here or in the macvlan's namespace. */
export function createMacvlan(rtnetlink: Conversation, wanted: NewMacvlan): void {
  const { mac, mode, broadcastQueue } = wanted
  const data = encode(macvlanData, { mode: macvlanModes[mode], broadcastQueue: broadcastQueue || undefined })
  createUpper(rtnetlink, wanted, { mac, info: { kind: "macvlan", data } })
}

export interface NewIpvlan extends NewUpperLink {
  readonly mode: IpvlanMode
}

/** Makes an ipvlan, down; it has the MAC address of the link it is on. Throws EEXIST as createMacvlan. */
export function createIpvlan(rtnetlink: Conversation, wanted: NewIpvlan): void {
  const data = encode(ipvlanData, { mode: ipvlanModes[wanted.mode], flags: 0 }) // they reach each other
  createUpper(rtnetlink, wanted, { info: { kind: "ipvlan", data } })
}

export interface NewVlan extends NewUpperLink {
  /** 0 to 4094, as 802.1Q numbers VLANs. */
  readonly id: number
}

/** Makes a VLAN interface, down; it has the MAC address of the link it is on. Throws EEXIST also if that link has the VLAN. */
export function createVlan(rtnetlink: Conversation, wanted: NewVlan): void {
  createUpper(rtnetlink, wanted, { info: { kind: "vlan", data: encode(vlanData, { id: wanted.id }) } })
}

function createUpper(rtnetlink: Conversation, { name, on, mtu, namespace }: NewUpperLink, values: LinkValues): void {
  create(rtnetlink, `create ${values.info?.kind} ${name}`, {
    name,
    peer: on,
    mtu: mtu || undefined,
    namespace,
    ...values,
  })
}

/** Makes a dummy, down. Throws EEXIST if the name is taken. */
export function createDummy(
  rtnetlink: Conversation,
  { name, mtu }: { readonly name: string; readonly mtu: number },
): void {
  create(rtnetlink, `create dummy ${name}`, { name, mtu: mtu || undefined, info: { kind: "dummy" } })
}

/** Makes a VRF, down, whose ports' routes are in a routing table. Throws EEXIST if the name is taken. */
export function createVrf(
  rtnetlink: Conversation,
  { name, table }: { readonly name: string; readonly table: number },
): void {
  create(rtnetlink, `create VRF ${name}`, { name, info: { kind: "vrf", data: encode(vrfData, { table }) } })
}

/** An ifb: it returns packets that were redirected to it to their link, after its qdisc has shaped them. */
export interface NewIfb {
  readonly name: string
  readonly mac: Uint8Array
  readonly mtu: number
}

/** Makes an ifb that is down and has no queue of its own. Throws EEXIST if the name is taken. */
export function createIfb(rtnetlink: Conversation, { name, mac, mtu }: NewIfb): void {
  const values = { name, mac, mtu, transmitQueueLength: 0, info: { kind: "ifb" } }
  create(rtnetlink, `create ifb ${name}`, values)
}

function create(rtnetlink: Conversation, asked: string, values: LinkValues): void {
  rtnetlink.execute({
    asked,
    type: RTM.NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write: (writer) => linkAttributes.write(writeHeader(writer, {}), values),
  })
}
