import { type Address, type Family, families, formatAddress, sameAddress } from "../../lib/ip/address.ts"
import { formatMac, type Mac } from "../../lib/ip/mac.ts"
import { contains, type Prefix } from "../../lib/ip/prefix.ts"
import { DatagramSocket } from "../../lib/sys/datagram-socket.ts"
import { explain } from "../../lib/sys/errno.ts"
import { host } from "../../lib/sys/host.ts"
import { AF_INET, AF_INET6, AF_PACKET, SOCK_DGRAM, SOCK_RAW } from "../../lib/sys/socket-kinds.ts"
import { failedWith } from "../../lib/sys/system-error.ts"
import { decodeArpReply, ETH_P_ARP, encodeArpRequest } from "./arp.ts"
import {
  decodeAdvertisement,
  decodeEchoReply,
  ECHO_OVERHEAD,
  type Echo,
  encodeEcho,
  encodeSolicitation,
  solicitedNode,
} from "./icmp.ts"
import type { Line } from "./line.ts"
import { random } from "./nonce.ts"
import { everybodyOn, ipAddress } from "./socket-address.ts"

const PATIENCE = 1000
/** A pod that answers for everybody shall not fill the memory. */
const MAX_MACS = 4
const SMALL = 56 // bytes of payload, as ping has them
const MAX_LARGE = 65_535

const [SOL_SOCKET, SO_BINDTODEVICE] = [1, 25]
const [IPPROTO_IP, IPPROTO_ICMP, IPPROTO_IPV6, IPPROTO_ICMPV6, SOL_RAW] = [0, 1, 41, 58, 255]
const [IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS] = [16, 18]
/** The hops of neighbour discovery: who forwarded it would have taken one. */
const NEIGHBOUR_HOPS = 255
/** ICMP_FILTER and ICMP6_FILTER. */
const FILTER = 1
/** Of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: nothing is cut up, whatever the kernel has learnt of the way. */
const PMTUDISC_PROBE = 3

/** The sockets of ICMP: echo replies are heard, and in IPv6 neighbours that advertise themselves. */
const ICMP = {
  4: {
    domain: AF_INET,
    protocol: IPPROTO_ICMP,
    filter: { level: SOL_RAW, size: 4 },
    heard: [0],
    discover: { level: IPPROTO_IP, option: 10 },
  },
  6: {
    domain: AF_INET6,
    protocol: IPPROTO_ICMPV6,
    filter: { level: IPPROTO_ICMPV6, size: 32 },
    heard: [129, 136],
    discover: { level: IPPROTO_IPV6, option: 23 },
  },
} as const

/** The interface that asks. */
export interface Asking {
  readonly index: number
  readonly name: string
  readonly mac: Mac
  readonly mtu: number
  readonly addresses: readonly Prefix[]
}

/** An address that is to be reached, and what came back from there. */
export interface Reach {
  readonly address: Address
  /** True if it is asked for by ARP or neighbour discovery as well, as it is on the interface's own network. */
  near: boolean
  /** True if packets of the interface's MTU have to get there: who answers one of these is not sent a small one. */
  readonly whole: boolean
  /** Its hardware address, if the pod's kernel is told it: that of the node's own bridge. */
  readonly mac: Mac | undefined
  /** True if a small packet is sent. */
  small: boolean
  /** Those that answer to the address. */
  readonly macs: string[]
  echoed: boolean
  /** A packet of the interface's MTU was answered. */
  echoedWhole: boolean
  /** The reason that the pod did not let the question out. */
  refusal?: string
}

/** Returns what is to be reached, without an answer yet. */
export function unreached(address: Address, how: Pick<Reach, "near" | "whole" | "mac">): Reach {
  return { address, ...how, small: !how.whole, macs: [], echoed: false, echoedWhole: false }
}

/** Asks all of them from the interface, in whose network namespace this process has to be. Throws SystemError if it cannot. */
export function askFrom(asking: Asking, reaches: readonly Reach[]): Line[] {
  const [four = [], six = []] = families.map((family) => reaches.filter(({ address }) => address.family === family))
  const lines: Line[] = []
  try {
    if (four.some(({ near }) => near)) askByArp(asking, four, lines)
    if (four.length > 0) askByEcho(asking, 4, four, lines)
    if (six.length > 0) askByEcho(asking, 6, six, lines)
    return lines
  } catch (error) {
    for (const { socket } of lines) socket[Symbol.dispose]()
    throw error
  }
}

function askByArp(asking: Asking, reaches: readonly Reach[], lines: Line[]): void {
  const near = reaches.filter((reach) => reach.near)
  const own = asking.addresses.filter(({ address }) => address.family === 4)
  const socket = new DatagramSocket(AF_PACKET, SOCK_DGRAM, ((ETH_P_ARP & 0xff) << 8) | (ETH_P_ARP >> 8))
  const hear = (packet: Uint8Array) => {
    const answer = decodeArpReply(packet)
    if (answer) noteNeighbour(near, answer.address, answer.mac)
  }
  lines.push({
    socket,
    patience: PATIENCE,
    hear,
    isAnswered: () => near.every(({ macs, refusal }) => macs.length > 0 || refusal !== undefined),
  })
  for (const reach of near) {
    const address = (own.find((prefix) => contains(prefix, reach.address)) ?? own[0])?.address
    if (!address) continue
    const packet = encodeArpRequest({ mac: asking.mac, address }, reach.address)
    trySending(reach, () => {
      socket.sendTo(everybodyOn(asking.index, ETH_P_ARP), packet, `ask for ${formatAddress(reach.address)} by ARP`)
    })
  }
}

/** Notes who answers; who is asked directly need not say at which hardware address. */
function noteNeighbour(reaches: readonly Reach[], address: Address, mac: Mac | undefined): void {
  for (const reach of reaches) {
    const found = mac ?? reach.mac
    if (!found || !sameAddress(reach.address, address)) continue
    const text = formatMac(found)
    if (!reach.macs.includes(text) && reach.macs.length < MAX_MACS) reach.macs.push(text)
  }
}

/** The effect of the pod's own rules and routes. */
const REFUSALS = ["EPERM", "EACCES", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"] as const

/** Sends to it, or notes that the pod itself does not let it out. Throws SystemError, as if the node has no room for more neighbours. */
function trySending(reach: Reach, send: () => void): void {
  try {
    send()
  } catch (error) {
    if (!failedWith(error, ...REFUSALS)) throw error
    reach.refusal = explain(error.errno)
  }
}

/** Asks by echo requests, small and of the MTU, and in IPv6 by neighbour discovery, which is ICMPv6 as well. */
function askByEcho(asking: Asking, family: Family, reaches: readonly Reach[], lines: Line[]): void {
  const socket = openEcho(asking, family)
  const nonce = random(8)
  const id = new DataView(nonce.buffer).getUint16(0)
  const near = reaches.filter((reach) => isDiscovered(reach))
  const hear = (packet: Uint8Array) => {
    const neighbour = family === 6 ? decodeAdvertisement(packet) : undefined
    if (neighbour) return noteNeighbour(near, neighbour.address, neighbour.mac)
    const echo = decodeEchoReply(family, packet)
    const isOurs = echo?.id === id && echo.nonce.every((byte, at) => byte === nonce[at])
    const reach = isOurs ? reaches[echo.sequence >> 1] : undefined
    if (!reach) return
    reach.echoed = true
    if ((echo?.sequence ?? 0) & 1) reach.echoedWhole = true
  }
  const isReached = (reach: Reach) =>
    reach.echoed && (reach.echoedWhole || !reach.whole) && (reach.macs.length > 0 || !near.includes(reach))
  const isAnswered = () => reaches.every((reach) => reach.refusal !== undefined || isReached(reach))
  lines.push({ socket, patience: PATIENCE, hear, isAnswered })
  for (const [at, reach] of reaches.entries()) {
    const echo = { id, sequence: 2 * at, nonce }
    trySending(reach, () => sendEcho(socket, asking, reach, echo))
  }
}

/** Says if it is asked for by neighbour discovery: by a question to everybody, or to the one that it is said to be, which then knows who asks. */
function isDiscovered({ address, near, mac }: Reach): boolean {
  return address.family === 6 && (near || mac !== undefined)
}

function sendEcho(socket: DatagramSocket, { index, mac, mtu }: Asking, reach: Reach, echo: Echo): void {
  const { address, near, whole, small } = reach
  const { family } = address
  const asked = `send to ${formatAddress(address)}`
  const to = ipAddress(address, 0, index)
  if (isDiscovered(reach)) {
    const whom = near ? ipAddress(solicitedNode(address), 0, index) : to
    socket.sendTo(whom, encodeSolicitation(address, mac), asked)
  }
  if (small) socket.sendTo(to, encodeEcho(family, echo, SMALL), asked)
  if (!whole) return
  const payload = Math.min(mtu, MAX_LARGE) - ECHO_OVERHEAD[family]
  try {
    socket.sendTo(to, encodeEcho(family, { ...echo, sequence: echo.sequence + 1 }, payload), asked)
  } catch (error) {
    if (!failedWith(error, "ENOBUFS")) throw error // the next link did not take it: it is lost
  }
}

function openEcho({ name }: Asking, family: Family): DatagramSocket {
  const { domain, protocol, filter, heard, discover } = ICMP[family]
  const socket = new DatagramSocket(domain, SOCK_RAW, protocol)
  try {
    const ignored = new Uint8Array(filter.size).fill(0xff) // a bit for each type
    for (const type of heard) ignored[type >> 3] = (ignored[type >> 3] ?? 0) & ~(1 << (type & 7))
    socket.setOption(filter.level, FILTER, ignored)
    socket.setOption(SOL_SOCKET, SO_BINDTODEVICE, host.encode(`${name}\0`))
    socket.setOption(discover.level, discover.option, int(PMTUDISC_PROBE))
    const hops = family === 6 ? [IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS] : []
    for (const option of hops) socket.setOption(IPPROTO_IPV6, option, int(NEIGHBOUR_HOPS))
    return socket
  } catch (error) {
    socket[Symbol.dispose]()
    throw error
  }
}

function int(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer)
}
