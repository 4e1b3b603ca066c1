import { statSync } from "node:fs"
import { constants } from "node:os"
import type { Host } from "../host.ts"
import { descriptors } from "./descriptors.ts"
import { errnoOf } from "./errno.ts"
import { answerOf, cString, libc } from "./libc.ts"

const { EINVAL, EMSGSIZE, ENAMETOOLONG, ENODEV } = constants.errno

const OWN_NETWORK = "/proc/self/ns/net"
const CLONE_NEWNET = 0x40000000
const AF_UNIX = 1
const AF_NETLINK = 16
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const MSG_TRUNC = 0x20
const MSG_NOSIGNAL = 0x4000
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20
const SOL_NETLINK = 270
/** NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK */
const NETLINK_OPTIONS = [10, 11, 12]
const SIOCGIFINDEX = 0x8933
const TUNSETIFF = 0x400454ca
const TUNSETPERSIST = 0x400454cb
const TUNSETOWNER = 0x400454cc
const TUNSETGROUP = 0x400454ce
const IFNAMSIZ = 16

/** Functions of network namespaces and sockets. */
export const sockets = {
  openOwnNetwork: () => descriptors.open(OWN_NETWORK, 0, 0),
  isOwnNetwork,
  /** Moves only the thread that JavaScript runs on. */
  enterNetwork: (fd) => answerOf(() => libc.setns(fd, CLONE_NEWNET)),
  /** Moves only the thread that JavaScript runs on. */
  unshare: (kinds) => answerOf(() => libc.unshare(kinds)),
  netlink,
  linkIndex,
  socket: (family, type, protocol) => answerOf(() => libc.socket(family, type | SOCK_CLOEXEC, protocol)),
  setOption: (fd, level, option, value) => answerOf(() => libc.setsockopt(fd, level, option, value, value.length)),
  getOption,
  send: (fd, bytes) => answerOf(() => libc.send(fd, bytes, bytes.length, MSG_NOSIGNAL)),
  receive,
  connect,
  sendDatagram: (fd, address, bytes) =>
    answerOf(() => libc.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length)),
  sendTo,
  makeTun,
  nextMessage,
} satisfies Partial<Host>

function isOwnNetwork(path: string): number {
  if (path.includes("\0")) return -EINVAL
  try {
    const [named, own] = [path, OWN_NETWORK].map((file) => statSync(file, { bigint: true }))
    return Number(named?.dev === own?.dev && named?.ino === own?.ino)
  } catch (error) {
    return errnoOf(error)
  }
}

function netlink(protocol: number, seconds: number): number {
  const fd = answerOf(() => libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol))
  if (fd < 0 || seconds <= 0) return fd
  const [on, wait] = [
    new Uint8Array(Int32Array.of(1).buffer),
    new Uint8Array(BigInt64Array.of(BigInt(seconds), 0n).buffer),
  ]
  for (const option of NETLINK_OPTIONS) libc.setsockopt(fd, SOL_NETLINK, option, on, on.length)
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, wait, wait.length)
  return fd
}

function getOption(fd: number, level: number, option: number, value: Uint8Array): number {
  const size = new Uint32Array([value.length])
  const answer = answerOf(() => libc.getsockopt(fd, level, option, value, size))
  return answer < 0 ? answer : Number(size[0])
}

function receive(fd: number, buffer: Uint8Array): number {
  const sender = new Uint32Array(3) // struct sockaddr_nl: family, port, groups
  for (;;) {
    const size = new Uint32Array([sender.byteLength])
    const length = answerOf(() => libc.recvfrom(fd, buffer, buffer.length, MSG_TRUNC, sender, size))
    if (length < 0) return length
    const fromKernel = sender[1] === 0
    if (fromKernel) return length > buffer.length ? -EMSGSIZE : length
  }
}

/** Returns the struct sockaddr_un of the path, or a negative errno. */
function unixAddress(path: string): Uint8Array | number {
  const name = cString(path)
  if (!name) return -EINVAL
  const address = new Uint8Array(110)
  if (2 + name.length > address.length) return -ENAMETOOLONG
  new DataView(address.buffer).setUint16(0, AF_UNIX, true)
  address.set(name, 2)
  return address
}

function connect(path: string): number {
  const address = unixAddress(path)
  if (typeof address === "number") return address
  const fd = answerOf(() => libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
  if (fd < 0) return fd
  const answer = answerOf(() => libc.connect(fd, address, address.length))
  if (answer < 0) libc.close(fd)
  return answer < 0 ? answer : fd
}

function sendTo(path: string, bytes: Uint8Array): number {
  const address = unixAddress(path)
  if (typeof address === "number") return address
  const fd = answerOf(() => libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
  if (fd < 0) return fd
  try {
    return answerOf(() => libc.sendto(fd, bytes, bytes.length, 0, address, address.length))
  } finally {
    libc.close(fd)
  }
}

function linkIndex(fd: number, text: string): number {
  const name = cString(text)
  if (!name) return -EINVAL
  if (name.length > IFNAMSIZ) return -ENODEV
  const request = new Uint8Array(40) // struct ifreq
  request.set(name)
  const answer = answerOf(() => libc.ioctl(fd, SIOCGIFINDEX, request))
  return answer < 0 ? answer : new DataView(request.buffer).getInt32(IFNAMSIZ, true)
}

function makeTun(fd: number, text: string, flags: number, owner: number, group: number): number {
  const name = cString(text)
  if (!name || name.length > IFNAMSIZ) return -EINVAL
  const request = new Uint8Array(40) // struct ifreq
  request.set(name)
  new DataView(request.buffer).setInt16(IFNAMSIZ, flags, true)
  const made = answerOf(() => libc.ioctl(fd, TUNSETIFF, request))
  if (made < 0) return made
  const settings = [
    { request: TUNSETOWNER, value: owner },
    { request: TUNSETGROUP, value: group },
    { request: TUNSETPERSIST, value: 1 },
  ]
  for (const { request, value } of settings) {
    const answer = value < 0 ? 0 : answerOf(() => libc.ioctlNumber(fd, request, value))
    if (answer < 0) return answer
  }
  return 0
}

const NLMSG_HEADER = 16
const NLMSG_MIN_TYPE = 16
const NLM_F_DUMP_INTR = 0x10
/** With a struct nfgenmsg behind it. */
const NETFILTER_HEADER = NLMSG_HEADER + 4

function nextMessage(
  datagram: Uint8Array,
  start: number,
  texts: Uint8Array,
  width: number,
  attribute: number,
  mark: number,
): number {
  const wanted = partsOf(texts, width)
  const size = datagram.length
  const view = new DataView(datagram.buffer, datagram.byteOffset, size)
  for (let at = start < 0 ? size : start, length: number; at < size; at += (length + 3) & ~3) {
    if (size - at < NLMSG_HEADER) return at
    length = view.getUint32(at, true)
    if (length < NLMSG_HEADER || length > size - at) return at
    if (view.getUint16(at + 4, true) < NLMSG_MIN_TYPE || (view.getUint16(at + 6, true) & NLM_F_DUMP_INTR) !== 0)
      return at
    const message = datagram.subarray(at, at + length)
    if (wanted.some((text) => Buffer.from(message).includes(text))) return at
    if (attribute !== 0 && !attributeBegins(message, attribute, mark)) return at
  }
  return size
}

/** Returns the whole parts of that many bytes. */
function partsOf(texts: Uint8Array, width: number): Buffer[] {
  const parts: Buffer[] = []
  const size = Math.max(1, width)
  for (let at = 0; at + size <= texts.length; at += size) parts.push(Buffer.from(texts.subarray(at, at + size)))
  return parts
}

function attributeBegins(message: Uint8Array, attribute: number, mark: number): boolean {
  const view = new DataView(message.buffer, message.byteOffset, message.length)
  for (let at = NETFILTER_HEADER, length: number; at + 4 < message.length; at += (length + 3) & ~3) {
    length = view.getUint16(at, true)
    if (length < 4) return false
    if ((view.getUint16(at + 2, true) & 0x3fff) === attribute) return length > 4 && message[at + 4] === mark
  }
  return false
}
