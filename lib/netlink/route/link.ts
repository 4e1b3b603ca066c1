import {
  type AttributeSet,
  attributeSet,
  type Body,
  bytes,
  chosen,
  encode,
  mac,
  nested,
  printed,
  text,
  u8,
  u16,
  u32,
  type Values,
} from "../attribute.ts"
import type { Conversation } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "../message.ts"
import { nameOf } from "../print.ts"
import { Writer } from "../writer.ts"
import { HEADER, headerOf, linkHeader, writeHeader } from "./link-header.ts"
import { RTM } from "./rtm.ts"

/** IFLA_BR_*: a bridge's own settings. */
const bridgeData = attributeSet({
  vlanFiltering: [7, u8, "IFLA_BR_VLAN_FILTERING"],
  defaultPvid: [39, u16, "IFLA_BR_VLAN_DEFAULT_PVID"],
})

/** IFLA_BRPORT_*: a link's settings as a port of a bridge. */
const portData = attributeSet({
  state: [1, u8, "IFLA_BRPORT_STATE"],
  hairpin: [4, u8, "IFLA_BRPORT_MODE"],
  isolated: [33, u8, "IFLA_BRPORT_ISOLATED"],
})

/** VETH_INFO_PEER: the other end, a link message of its own. */
const vethData = attributeSet({ peer: [1, { ...bytes, inside: (): Body => linkBody }, "VETH_INFO_PEER"] })

/** IFLA_MACVLAN_*: a macvlan's own settings. */
const macvlanData = attributeSet({
  mode: [1, printed(u32, (mode) => nameOf(macvlanModes, mode)), "IFLA_MACVLAN_MODE"],
  broadcastQueue: [7, u32, "IFLA_MACVLAN_BC_QUEUE_LEN"],
})

/** MACVLAN_MODE_*: the ways in which the macvlans of one link reach each other. */
const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const
export type MacvlanMode = keyof typeof macvlanModes

/** IFLA_INFO_*: the kind of link, and the kind's settings, whose meaning depends on it. */
const linkInfo = attributeSet({
  kind: [1, text, "IFLA_INFO_KIND"],
  data: [2, chosen("IFLA_INFO_KIND", { bridge: bridgeData, veth: vethData, macvlan: macvlanData }), "IFLA_INFO_DATA"],
  portKind: [4, text, "IFLA_INFO_SLAVE_KIND"],
  portData: [5, chosen("IFLA_INFO_SLAVE_KIND", { bridge: portData }), "IFLA_INFO_SLAVE_DATA"],
})

/** IFLA_* from linux/if_link.h: those these plugins read or set. */
const link = attributeSet({
  mac: [1, mac, "IFLA_ADDRESS"],
  name: [3, text, "IFLA_IFNAME"],
  mtu: [4, u32, "IFLA_MTU"],
  peer: [5, u32, "IFLA_LINK"],
  master: [10, u32, "IFLA_MASTER"],
  transmitQueueLength: [13, u32, "IFLA_TXQLEN"],
  operstate: [16, printed(u8, operstateName), "IFLA_OPERSTATE"],
  info: [18, nested(linkInfo), "IFLA_LINKINFO"],
  alias: [20, text, "IFLA_IFALIAS"],
  namespace: [28, u32, "IFLA_NET_NS_FD"],
  extendedMask: [29, u32, "IFLA_EXT_MASK"],
  promiscuity: [30, u32, "IFLA_PROMISCUITY"],
  peerNamespace: [37, u32, "IFLA_LINK_NETNSID"],
})

/** An RTM_NEWLINK and its like. */
export const linkBody: Body = { header: linkHeader, attributes: link }

const IFF_UP = 0x1
const IFF_PROMISC = 0x100
const IFF_ALLMULTI = 0x200
const RTEXT_FILTER_SKIP_STATS = 8

/** IF_OPER_* (RFC 2863); the index is the kernel's number. */
const operstates = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"] as const
export type Operstate = (typeof operstates)[number]

function operstateName(state: number): string | number {
  return operstates[state]?.toUpperCase() ?? state
}

/** A network interface as the kernel describes it. */
export interface Link {
  readonly index: number
  readonly name: string
  readonly mac: Uint8Array
  readonly mtu: number
  readonly up: boolean
  readonly operstate: Operstate
  /** Counts the users of promiscuous mode; `promiscuous` is true if the administrator is one. */
  readonly promiscuity: number
  readonly promiscuous: boolean
  /** The administrator wants every multicast packet. */
  readonly allMulticast: boolean
  readonly transmitQueueLength: number
  /** `veth`, `bridge`, ...; empty for hardware. */
  readonly kind: string
  readonly alias: string
  /** The bridge it is a port of; 0 if it is none. */
  readonly master: number
  /** IFLA_LINK: the index of a veth's peer, or of the link a macvlan is on (its `master` in CNI), in its own namespace. 0 if there is none. */
  readonly peer: number
  /** The id of the namespace of `peer`, in the namespace that was asked; undefined: the same one, or there is no `peer`. */
  readonly peerNamespace: number | undefined
  /** Set for a macvlan in a known mode. */
  readonly macvlanMode: MacvlanMode | undefined
  /** Set for a bridge. */
  readonly vlanFiltering: boolean | undefined
  readonly defaultVlan: number | undefined
  /** Set for a port of a bridge. */
  readonly port: { readonly hairpin: boolean; readonly isolated: boolean } | undefined
}

/** Names a link: by index, or by name. */
export type LinkKey = number | string

function keyOf(key: LinkKey): { index?: number; name?: string } {
  return typeof key === "number" ? { index: key } : { name: key }
}

/** Returns the link, or undefined if there is none. */
export function readLink(rtnetlink: Conversation, key: LinkKey): Link | undefined {
  const { index, name } = keyOf(key)
  try {
    const message = rtnetlink.get({
      asked: `read link ${key}`,
      type: RTM.GETLINK,
      write: (writer) =>
        link.write(writeHeader(writer, index === undefined ? {} : { index }), {
          name,
          extendedMask: RTEXT_FILTER_SKIP_STATS,
        }),
    })
    return decodeLink(message)
  } catch (error) {
    if (refusedWith(error, "ENODEV")) return undefined
    throw error
  }
}

/** Returns all links, or the ports of one bridge. `partial`: the list may lack some, as links came and went all the time. */
export function listLinks(
  rtnetlink: Conversation,
  filter: { master?: number } = {},
): { readonly links: readonly Link[]; readonly partial: boolean } {
  const { messages, partial } = rtnetlink.dump({
    asked: "list links",
    type: RTM.GETLINK,
    write: (writer) =>
      link.write(writeHeader(writer, {}), { master: filter.master, extendedMask: RTEXT_FILTER_SKIP_STATS }),
  })
  const links = messages.filter(({ type }) => type === RTM.NEWLINK).map(decodeLink)
  return { links: links.filter(({ master }) => filter.master === undefined || master === filter.master), partial }
}

/** Returns the link that an RTM_NEWLINK describes. Throws WireError. */
export function decodeLink(message: Message): Link {
  const header = headerOf(message)
  const flags = header.getUint32(8, true)
  const values = link.read(message.payload.subarray(HEADER))
  const { kind = "", data, portKind, portData: port } = values.info ?? {}
  const bridge = kind === "bridge" && data ? bridgeData.read(data) : undefined
  return {
    index: header.getInt32(4, true),
    name: values.name ?? "",
    mac: values.mac ?? new Uint8Array(),
    mtu: values.mtu ?? 0,
    up: (flags & IFF_UP) !== 0,
    operstate: operstates[values.operstate ?? 0] ?? "unknown",
    promiscuity: values.promiscuity ?? 0,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    allMulticast: (flags & IFF_ALLMULTI) !== 0,
    transmitQueueLength: values.transmitQueueLength ?? 0,
    kind,
    alias: values.alias ?? "",
    master: values.master ?? 0,
    peer: values.peer ?? 0,
    peerNamespace: values.peerNamespace,
    macvlanMode: kind === "macvlan" && data ? decodeMode(data) : undefined,
    vlanFiltering: bridge && bridge.vlanFiltering === 1,
    defaultVlan: bridge?.defaultPvid,
    port: portKind === "bridge" && port ? decodePort(port) : undefined,
  }
}

function decodePort(payload: Uint8Array): Link["port"] {
  const { hairpin = 0, isolated = 0 } = portData.read(payload)
  return { hairpin: hairpin === 1, isolated: isolated === 1 }
}

function decodeMode(payload: Uint8Array): MacvlanMode | undefined {
  const { mode } = macvlanData.read(payload)
  for (const name in macvlanModes) {
    if (macvlanModes[name as MacvlanMode] === mode) return name as MacvlanMode
  }
  return undefined
}

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
  link.write(writeHeader(peerMessage, {}), { ...peer, mtu: peer.mtu || undefined })
  create(rtnetlink, `create veth pair ${name} and ${peer.name}`, {
    name,
    mac,
    mtu: mtu || undefined,
    master,
    info: { kind: "veth", data: encode(vethData, { peer: peerMessage.bytes }) },
  })
}

/** A macvlan to make on another link. */
export interface NewMacvlan {
  readonly name: string
  /** The index of the link it is on. */
  readonly on: number
  readonly mode: MacvlanMode
  /** Undefined: a random one, or in mode passthru that of the link it is on. */
  readonly mac?: Uint8Array | undefined
  /** 0: that of the link it is on. */
  readonly mtu: number
  /** The length of the queue for broadcast packets; 0: the kernel's choice. */
  readonly broadcastQueue: number
  /** An open file descriptor of its namespace; absent: that of the link it is on. */
  readonly namespace?: number | undefined
}

/** Makes a macvlan, down. Throws EEXIST if the name is taken, here or in the macvlan's namespace. */
export function createMacvlan(rtnetlink: Conversation, { name, on, mac, mtu, namespace, ...rest }: NewMacvlan): void {
  const data = encode(macvlanData, {
    mode: macvlanModes[rest.mode],
    broadcastQueue: rest.broadcastQueue || undefined,
  })
  create(rtnetlink, `create macvlan ${name}`, {
    name,
    peer: on,
    mac,
    mtu: mtu || undefined,
    namespace,
    info: { kind: "macvlan", data },
  })
}

/** An ifb: it returns packets that were redirected to it to their link, after its qdisc has shaped them. */
export interface NewIfb {
  readonly name: string
  readonly mac: Uint8Array
  readonly mtu: number
}

/** Makes an ifb that is up and has no queue of its own. Throws EEXIST if the name is taken. */
export function createIfb(rtnetlink: Conversation, { name, mac, mtu }: NewIfb): void {
  const values = { name, mac, mtu, transmitQueueLength: 0, info: { kind: "ifb" } }
  create(rtnetlink, `create ifb ${name}`, values, { up: true })
}

type LinkValues = typeof link extends AttributeSet<infer T> ? Values<T> : never

function create(rtnetlink: Conversation, asked: string, values: LinkValues, change: LinkChange = {}): void {
  rtnetlink.execute({
    asked,
    type: RTM.NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write: (writer) => link.write(writeHeader(writer, flagsOf(change)), values),
  })
}

/** Changes of a link; absent leaves it as it is. */
export interface LinkChange {
  /** The new name; the link has to be down. */
  readonly name?: string
  readonly up?: boolean
  readonly promiscuous?: boolean
  readonly allMulticast?: boolean
  readonly transmitQueueLength?: number
  readonly mtu?: number
  readonly mac?: Uint8Array
  readonly alias?: string
  readonly vlanFiltering?: boolean
  readonly hairpin?: boolean
  readonly isolated?: boolean
}

/** Changes a link in one request, port settings of a bridge's port included. `name` is for the error only. */
export function changeLink(rtnetlink: Conversation, index: number, name: string, change: LinkChange): void {
  const { mtu, mac, alias, transmitQueueLength, name: newName } = change
  rtnetlink.execute({
    asked: `change link ${name} (${describeChange(change)})`,
    type: RTM.NEWLINK,
    write: (writer) =>
      link.write(writeHeader(writer, { index, ...flagsOf(change) }), {
        name: newName,
        mtu,
        mac,
        alias,
        transmitQueueLength,
        info: infoOf(change),
      }),
  })
}

function flagsOf({ up, promiscuous, allMulticast }: LinkChange): { flags: number; change: number } {
  const wanted = [
    { flag: IFF_UP, on: up },
    { flag: IFF_PROMISC, on: promiscuous },
    { flag: IFF_ALLMULTI, on: allMulticast },
  ]
  const sum = (flags: { flag: number }[]) => flags.reduce((all, { flag }) => all | flag, 0)
  return { flags: sum(wanted.filter(({ on }) => on)), change: sum(wanted.filter(({ on }) => on !== undefined)) }
}

function infoOf({ vlanFiltering, hairpin, isolated }: LinkChange): LinkValues["info"] {
  if (vlanFiltering !== undefined) {
    return { kind: "bridge", data: encode(bridgeData, { vlanFiltering: Number(vlanFiltering) }) }
  }
  if (hairpin === undefined && isolated === undefined) return undefined
  const port = { hairpin: numberOf(hairpin), isolated: numberOf(isolated) }
  return { portKind: "bridge", portData: encode(portData, port) }
}

function numberOf(flag: boolean | undefined): number | undefined {
  return flag === undefined ? undefined : Number(flag)
}

function describeChange(change: LinkChange): string {
  return Object.keys(change).join(", ")
}

/** Deletes a link, and with a veth its peer. Returns false if there was none. */
export function removeLink(rtnetlink: Conversation, key: LinkKey): boolean {
  const { index, name } = keyOf(key)
  try {
    rtnetlink.execute({
      asked: `delete link ${key}`,
      type: RTM.DELLINK,
      write: (writer) => link.write(writeHeader(writer, index === undefined ? {} : { index }), { name }),
    })
    return true
  } catch (error) {
    if (refusedWith(error, "ENODEV")) return false
    throw error
  }
}
