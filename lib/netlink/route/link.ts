import { host } from "../../sys/host.ts"
import { encode } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import type { Message } from "../message.ts"
import type { Writer } from "../writer.ts"
import { ipSettingIn } from "./ip-settings.ts"
import {
  addrGenModes,
  bridgeData,
  type IpvlanMode,
  ipvlanData,
  ipvlanModes,
  type LinkValues,
  linkAttributes,
  linkFamilies,
  type MacvlanMode,
  macvlanData,
  macvlanModes,
  type Operstate,
  operstates,
  portData,
  portState,
  tunData,
  vlanData,
  vrfData,
} from "./link-attributes.ts"
import { HEADER, headerOf, IFF_ALLMULTI, IFF_LOWER_UP, IFF_PROMISC, IFF_UP, writeHeader } from "./link-header.ts"
import { AF, RTM } from "./rtm.ts"

const IFF_TAP = 2
const RTEXT_FILTER_SKIP_STATS = 8

/** A network interface as the kernel describes it. */
export interface Link {
  readonly index: number
  readonly name: string
  readonly mac: Uint8Array
  readonly mtu: number
  readonly up: boolean
  readonly operstate: Operstate
  /** The wire is there, as of a link that is up on one that is up; `operstate` says so later. */
  readonly carrier: boolean
  /** Counts the users of promiscuous mode; `promiscuous` is true if the administrator is one. */
  readonly promiscuity: number
  readonly promiscuous: boolean
  /** The administrator wants every multicast packet. */
  readonly allMulticast: boolean
  readonly transmitQueueLength: number
  /** `veth`, `bridge`, ...; empty for hardware. */
  readonly kind: string
  readonly alias: string
  /** The bridge or VRF that it is a port of; 0 if it is none. */
  readonly master: number
  /** IFLA_LINK: the index of a veth's peer, or of the link that a macvlan, ipvlan or VLAN is on (its `master` in CNI), in its own namespace. 0 if there is none. */
  readonly peer: number
  /** The id of the namespace of `peer`, in the namespace that was asked; undefined: the same one, or there is no `peer`. */
  readonly peerNamespace: number | undefined
  /** Set for a macvlan in a known mode. */
  readonly macvlanMode: MacvlanMode | undefined
  /** Set for an ipvlan in a known mode. */
  readonly ipvlanMode: IpvlanMode | undefined
  /** Set for a VLAN interface. */
  readonly vlanId: number | undefined
  /** The routing table of a VRF. */
  readonly vrfTable: number | undefined
  /** Set for a tap or tun. */
  readonly tun: Tun | undefined
  /** Set for a bridge. */
  readonly vlanFiltering: boolean | undefined
  readonly defaultVlan: number | undefined
  /** The sysctl `accept_ra` of a bridge that has IPv6. */
  readonly acceptRa: number | undefined
  /** Set for a port of a bridge. */
  readonly port: { readonly hairpin: boolean; readonly isolated: boolean } | undefined
}

/** A tap's or tun's own settings. Kernels before 4.20 do not tell them. */
export interface Tun {
  readonly isTap: boolean | undefined
  readonly multiQueue: boolean | undefined
  readonly owner: number | undefined
  readonly group: number | undefined
}

/** Names a link: by index, or by name. Further names (`ip link property`) count too, and may be longer than a name. */
export type LinkKey = number | string

/** IFNAMSIZ less the NUL. */
const NAME_BYTES = 15

function keyOf(key: LinkKey): { index: number; name?: string; furtherName?: string } {
  if (typeof key === "number") return { index: key }
  return host.encode(key).length > NAME_BYTES ? { index: 0, furtherName: key } : { index: 0, name: key }
}

/** Returns the link, or undefined if there is none. */
export function readLink(rtnetlink: Conversation, key: LinkKey): Link | undefined {
  return askForLink(rtnetlink, key, decodeLink)
}

/** Returns the link's index, or undefined if there is none. A request would wait for all who change links, and be answered at length. */
export function findLinkIndex(rtnetlink: Conversation, name: string): number | undefined {
  return rtnetlink.indexOf(name) ?? askForLink(rtnetlink, name, (message) => headerOf(message).index)
}

/** Names the states that tell if traffic passes through a port. */
export type PortState = Pick<Link, "operstate" | "master">

/** Returns the state of a port, or undefined if there is no such link: a tenth of what readLink() decodes. */
export function readPortState(rtnetlink: Conversation, index: number): PortState | undefined {
  return askForLink(rtnetlink, index, ({ payload }) => {
    const { master = 0, operstate = 0 } = portState.read(payload, HEADER)
    return { master, operstate: operstates[operstate] ?? "unknown" }
  })
}

/** Returns the value that `read` returns for the kernel's answer about the link, or undefined if there is no such link. */
export function askForLink<Value>(
  rtnetlink: Conversation,
  key: LinkKey,
  read: (message: Message) => Value,
): Value | undefined {
  const { index, name, furtherName } = keyOf(key)
  const request: Request = {
    asked: `read link ${key}`,
    type: RTM.GETLINK,
    write(writer) {
      const values = { name, extendedMask: RTEXT_FILTER_SKIP_STATS, furtherName }
      linkAttributes.write(writer.u32x4(AF.UNSPEC, index, 0, 0), values)
    },
  }
  return rtnetlink.find(request, read)
}

/** Returns all links, or the ports of one bridge. `partial`: the list may lack some, as links came and went all the time. */
export function listLinks(
  rtnetlink: Conversation,
  filter: { master?: number } = {},
): { readonly links: readonly Link[]; readonly partial: boolean } {
  const request: Request = {
    asked: "list links",
    type: RTM.GETLINK,
    write: (writer) =>
      linkAttributes.write(writeHeader(writer, {}), { master: filter.master, extendedMask: RTEXT_FILTER_SKIP_STATS }),
  }
  const { values, partial } = rtnetlink.dump(request, (message) => {
    const link = message.type === RTM.NEWLINK ? decodeLink(message) : undefined
    return filter.master === undefined || link?.master === filter.master ? link : undefined
  })
  return { links: values, partial }
}

/** Returns the link that an RTM_NEWLINK describes. Throws WireError. */
export function decodeLink(message: Message): Link {
  const { index, flags } = headerOf(message)
  const values = linkAttributes.read(message.payload, HEADER)
  const { kind = "", data, portKind, portData: port } = values.info ?? {}
  const bridge = kind === "bridge" && data ? bridgeData.read(data) : undefined
  return {
    index,
    name: values.name ?? "",
    mac: values.mac ?? new Uint8Array(),
    mtu: values.mtu ?? 0,
    up: (flags & IFF_UP) !== 0,
    operstate: operstates[values.operstate ?? 0] ?? "unknown",
    carrier: (flags & IFF_LOWER_UP) !== 0,
    promiscuity: values.promiscuity ?? 0,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    allMulticast: (flags & IFF_ALLMULTI) !== 0,
    transmitQueueLength: values.transmitQueueLength ?? 0,
    kind,
    alias: values.alias ?? "",
    master: values.master ?? 0,
    peer: values.peer ?? 0,
    peerNamespace: values.peerNamespace,
    macvlanMode: kind === "macvlan" && data ? named(macvlanModes, macvlanData.read(data).mode) : undefined,
    ipvlanMode: kind === "ipvlan" && data ? named(ipvlanModes, ipvlanData.read(data).mode) : undefined,
    vlanId: kind === "vlan" && data ? vlanData.read(data).id : undefined,
    vrfTable: kind === "vrf" && data ? vrfData.read(data).table : undefined,
    tun: kind === "tun" && data ? decodeTun(data) : undefined,
    vlanFiltering: bridge && bridge.vlanFiltering === 1,
    defaultVlan: bridge?.defaultPvid,
    acceptRa: bridge && ipSettingIn(message.payload, "acceptRa"),
    port: portKind === "bridge" && port ? decodePort(port) : undefined,
  }
}

function decodePort(payload: Uint8Array): Link["port"] {
  const { hairpin = 0, isolated = 0 } = portData.read(payload)
  return { hairpin: hairpin === 1, isolated: isolated === 1 }
}

function decodeTun(payload: Uint8Array): Tun {
  const { type, multiQueue, owner, group } = tunData.read(payload)
  return { isTap: type === IFF_TAP, multiQueue: multiQueue === 1, owner, group }
}

function named<Name extends string>(
  numbers: Readonly<Record<Name, number>>,
  wanted: number | undefined,
): Name | undefined {
  for (const name in numbers) if (numbers[name] === wanted) return name
  return undefined
}

/** Changes of a link; absent leaves it as it is. */
export interface LinkChange {
  /** An open file descriptor of the network namespace to move it to, down; then come the other changes, of which each may still be refused. */
  readonly namespace?: number
  /** The new name; the link has to be down. */
  readonly name?: string
  readonly up?: boolean
  readonly promiscuous?: boolean
  readonly allMulticast?: boolean
  readonly transmitQueueLength?: number
  readonly mtu?: number
  readonly mac?: Uint8Array
  /** The bridge, bond or VRF that it becomes a port of; 0 for none. */
  readonly master?: number
  readonly alias?: string
  /** A number of the administrator's, by which removeGroup() finds it. */
  readonly group?: number
  readonly vlanFiltering?: boolean
  readonly hairpin?: boolean
  readonly isolated?: boolean
  /** A link without IPv6 refuses it, and all other changes with it (EAFNOSUPPORT). */
  readonly addrGenMode?: keyof typeof addrGenModes
}

/** Changes a link in one request, port settings of a bridge's port included. `name` is for the error only. */
export function changeLink(rtnetlink: Conversation, index: number, name: string, change: LinkChange): void {
  rtnetlink.execute({
    asked: `${change.namespace === undefined ? "change" : "move"} link ${name} (${describeChange(change)})`,
    type: RTM.NEWLINK,
    write(writer) {
      const info = infoOf(change)
      linkAttributes.write(writeFlags(writer, index, change), info ? { ...change, info } : change)
      if (change.addrGenMode) writer.raw(WITHOUT_ADDRESS)
    },
  })
}

/** The only mode, encoded but once, when the heap image is made. */
const WITHOUT_ADDRESS = encode(linkFamilies, { families: { ipv6: { addrGenMode: addrGenModes.none } } })

function writeFlags(writer: Writer, index: number, { up, promiscuous, allMulticast }: LinkChange): Writer {
  const flags = (up ? IFF_UP : 0) | (promiscuous ? IFF_PROMISC : 0) | (allMulticast ? IFF_ALLMULTI : 0)
  let change = 0
  if (up !== undefined) change |= IFF_UP
  if (promiscuous !== undefined) change |= IFF_PROMISC
  if (allMulticast !== undefined) change |= IFF_ALLMULTI
  return writer.u32x4(AF.UNSPEC, index, flags, change)
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
  const named = keyOf(key)
  return remove(rtnetlink, `delete link ${key}`, named, named)
}

/** Deletes all links of the group, and with veths their peers, in one go. Returns false if there were none. */
export function removeGroup(rtnetlink: Conversation, group: number): boolean {
  return remove(rtnetlink, `delete the links of group ${group}`, {}, { group })
}

function remove(rtnetlink: Conversation, asked: string, header: { index?: number }, values: LinkValues): boolean {
  try {
    rtnetlink.execute({
      asked,
      type: RTM.DELLINK,
      write: (writer) => linkAttributes.write(writeHeader(writer, header), values),
    })
    return true
  } catch (error) {
    if (refusedWith(error, "ENODEV")) return false
    throw error
  }
}
