import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { load } from "koffi"
import { expect, onTestFinished, test } from "vitest"
import { namespaced } from "../../testing/namespaced.ts"
import { scratchDirectory } from "../../testing/scratch.ts"
import { interruptedWhile } from "../../testing/signal.ts"
import { nodeHost as host } from "./host.ts"
import { libc } from "./libc.ts"

const {
  ENAMETOOLONG,
  ENODEV,
  ENOENT,
  ENOTDIR,
  EBADF,
  EAGAIN,
  EINVAL,
  ENOTSOCK,
  ENOTTY,
  EMSGSIZE,
  ENOPROTOOPT,
  EPROTONOSUPPORT,
  ECONNREFUSED,
  EPIPE,
} = constants.errno

const NETLINK_ROUTE = 0
const NETLINK_USERSOCK = 2
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20

function socketOf(protocol: number, milliseconds = 30_000): number {
  const fd = host.netlink(protocol, 0)
  expect(fd).toBeGreaterThanOrEqual(0)
  onTestFinished(() => void host.close(fd))
  const time = new BigInt64Array([BigInt(Math.trunc(milliseconds / 1000)), BigInt((milliseconds % 1000) * 1000)])
  expect(host.setOption(fd, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(time.buffer))).toBe(0)
  return fd
}

/** RTM_GETLINK of `lo`, by its index: nlmsghdr, ifinfomsg. */
function askForLo(sequence: number): Uint8Array {
  const RTM_GETLINK = 18
  const NLM_F_REQUEST = 1
  return new Uint8Array(new Uint32Array([32, (NLM_F_REQUEST << 16) | RTM_GETLINK, sequence, 0, 0, 1, 0, 0]).buffer)
}

test("an option is what it was set to, as far as there is room for it", () => {
  const fd = socketOf(NETLINK_ROUTE, 2000)
  const value = new BigInt64Array(3) // struct timeval, and more
  expect(host.getOption(fd, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(value.buffer))).toBe(16)
  expect([...value]).toEqual([2n, 0n, 0n])
  expect(host.getOption(fd, SOL_SOCKET, 3, new Uint8Array(2))).toBe(2) // SO_TYPE, an int
})

test("netlink asks the kernel, which answers", () => {
  const fd = socketOf(NETLINK_ROUTE)
  expect(host.send(fd, askForLo(7))).toBe(32)
  const buffer = new Uint8Array(8192)
  const length = host.receive(fd, buffer)
  const [total, typeAndFlags = 0, sequence] = new Uint32Array(buffer.buffer, 0, 3)
  expect({ total, type: typeAndFlags & 0xffff, sequence }).toEqual({ total: length, type: 16, sequence: 7 })
  expect(host.decode(buffer.subarray(0, length))).toContain("lo\0")
})

test("netlink's socket is closed in programs that are started", () => {
  const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${socketOf(NETLINK_ROUTE)}`, "utf8"))?.[1]
  expect(Number.parseInt(flags ?? "", 8) & 0o2000000).toBe(0o2000000)
})

test("a datagram longer than the buffer is EMSGSIZE, and gone", () => {
  const fd = socketOf(NETLINK_ROUTE)
  host.send(fd, askForLo(1))
  host.send(fd, askForLo(2))
  expect(host.receive(fd, new Uint8Array(64))).toBe(-EMSGSIZE)
  const buffer = new Uint8Array(8192)
  expect(host.receive(fd, buffer)).toBeGreaterThan(64)
  expect(new Uint32Array(buffer.buffer)[2]).toBe(2)
})

test("receive gives up in time, with EAGAIN, also after a signal", () => {
  const fd = socketOf(NETLINK_ROUTE, 500)
  interruptedWhile()
  expect(host.receive(fd, new Uint8Array(64))).toBe(-EAGAIN)
})

test("receive skips what another process could have sent", () => {
  const fd = socketOf(NETLINK_USERSOCK, 50)
  expect(host.send(fd, askForLo(1))).toBe(-ECONNREFUSED) // nobody listens, but now the socket has a port: the process's number
  const AF_NETLINK = 16
  const toIt = new Uint32Array([AF_NETLINK, process.pid, 0])
  const forge = () => libc.sendto(socketOf(NETLINK_USERSOCK), askForLo(1), 32, 0, toIt, 12)
  expect(forge()).toBe(32)
  expect(host.receive(fd, new Uint8Array(64))).toBe(-EAGAIN)
  expect(forge()).toBe(32)
  expect(libc.recvfrom(fd, new Uint8Array(64), 64, 0, null, null)).toBe(32)
})

test("what no socket can do says why", () => {
  const path = `${scratchDirectory()}/file`
  writeFileSync(path, "")
  const file = host.open(path, 0, 0)
  onTestFinished(() => void host.close(file))
  expect(host.netlink(999, 0)).toBe(-EPROTONOSUPPORT)
  expect(host.setOption(socketOf(NETLINK_ROUTE), SOL_SOCKET, 9999, new Uint8Array(4))).toBe(-ENOPROTOOPT)
  expect(host.getOption(socketOf(NETLINK_ROUTE), SOL_SOCKET, 9999, new Uint8Array(4))).toBe(-ENOPROTOOPT)
  expect(host.getOption(-1, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(16))).toBe(-EBADF)
  expect(host.send(file, askForLo(1))).toBe(-ENOTSOCK)
  expect(host.receive(file, new Uint8Array(64))).toBe(-ENOTSOCK)
  expect(host.send(-1, askForLo(1))).toBe(-EBADF)
  expect(host.enterNetwork(file)).toBe(-EINVAL)
  expect(host.enterNetwork(-1)).toBe(-EBADF)
})

const bind = load(null).func("int bind(int fd, const void *address, uint32_t size)")

const listen = load(null).func("int listen(int fd, int backlog)")
const accept = load(null).func("int accept(int fd, void *address, void *size)")
const SOCK_STREAM = 1
const SOCK_DGRAM = 2

/** A Unix socket, bound, and where. */
function listener(type = SOCK_DGRAM): { fd: number; path: string } {
  const path = `${scratchDirectory()}/socket`
  const fd = libc.socket(1, type, 0) // AF_UNIX
  onTestFinished(() => void host.close(fd))
  const address = Buffer.from(`\x01\0${path}\0`, "latin1") // struct sockaddr_un
  expect(bind(fd, address, address.length)).toBe(0)
  return { fd, path }
}

test("sendTo sends one datagram", () => {
  const { fd, path } = listener()
  expect(host.sendTo(path, host.encode("MESSAGE=x\n"))).toBe(10)
  const buffer = new Uint8Array(64)
  expect(host.decode(buffer.subarray(0, host.read(fd, buffer)))).toBe("MESSAGE=x\n")
})

test("sendTo does not wait for a socket that nobody empties", () => {
  const { path } = listener()
  let answer = 0
  while (answer >= 0) answer = host.sendTo(path, new Uint8Array(1))
  expect(answer).toBe(-EAGAIN)
})

test("sendTo says why it cannot, and leaves no descriptor behind", () => {
  const { path } = listener()
  const before = readdirSync("/proc/self/fd").length
  expect(host.sendTo(`${path}-none`, new Uint8Array(1))).toBe(-ENOENT)
  expect(host.sendTo(`${path}/x`, new Uint8Array(1))).toBe(-ENOTDIR)
  expect(host.sendTo(`${path}\0`, new Uint8Array(1))).toBe(-EINVAL)
  expect(host.sendTo(`/${"x".repeat(107)}`, new Uint8Array(1))).toBe(-ENAMETOOLONG)
  expect(host.sendTo(`/${"x".repeat(106)}`, new Uint8Array(1))).toBe(-ENOENT)
  expect(host.sendTo(path, new Uint8Array(16 << 20))).toBe(-EMSGSIZE)
  expect(readdirSync("/proc/self/fd").length).toBe(before)
})

test("connect reaches a stream's listener; neither side's slowness makes send or read wait", () => {
  const { fd, path } = listener(SOCK_STREAM)
  expect(listen(fd, 0)).toBe(0)
  const client = host.connect(path)
  expect(client).toBeGreaterThanOrEqual(0)
  onTestFinished(() => void host.close(client))
  const server = accept(fd, null, null)
  const buffer = new Uint8Array(64)
  expect(host.read(client, buffer)).toBe(-EAGAIN)
  expect(host.send(client, host.encode("abc"))).toBe(3)
  expect(host.decode(buffer.subarray(0, host.read(server, buffer)))).toBe("abc")
  let answer = 0
  while (answer >= 0) answer = host.send(client, new Uint8Array(1 << 16))
  expect(answer).toBe(-EAGAIN)
  host.close(server)
  expect(host.send(client, host.encode("abc"))).toBe(-EPIPE)
})

test("connect does not wait for a listener that accepts nobody, says why it cannot, and leaves no descriptor behind", () => {
  const { fd, path } = listener(SOCK_STREAM)
  const before = readdirSync("/proc/self/fd").length
  expect(host.connect(path)).toBe(-ECONNREFUSED)
  expect(host.connect(`${path}-none`)).toBe(-ENOENT)
  expect(host.connect(`${path}\0`)).toBe(-EINVAL)
  expect(host.connect(`/${"x".repeat(107)}`)).toBe(-ENAMETOOLONG)
  expect(readdirSync("/proc/self/fd").length).toBe(before)
  listen(fd, 0)
  const waiting = host.connect(path)
  onTestFinished(() => void host.close(waiting))
  expect(host.connect(path)).toBe(-EAGAIN)
})

test("makeTun says why it cannot", () => {
  const fd = host.open("/dev/null", 2, 0)
  onTestFinished(() => void host.close(fd))
  const make = (descriptor: number, name: string) => host.makeTun(descriptor, name, 2, -1, -1)
  expect(make(fd, "x")).toBe(-ENOTTY)
  expect(make(-1, "x")).toBe(-EBADF)
  expect(make(fd, "x\0")).toBe(-EINVAL)
  expect([make(fd, "x".repeat(15)), make(fd, "x".repeat(16))]).toEqual([-ENOTTY, -EINVAL])
})

test("the index of a link is told of its name", () => {
  const fd = socketOf(NETLINK_ROUTE)
  expect(host.linkIndex(fd, "lo")).toBe(1)
  expect(host.linkIndex(fd, "none")).toBe(-ENODEV)
  expect(host.linkIndex(fd, "a-name-of-sixteen")).toBe(-ENODEV)
  expect(host.linkIndex(fd, "lo\0")).toBe(-EINVAL)
  expect(host.linkIndex(-1, "lo")).toBe(-EBADF)
})

test("the network namespace that this process is in is known by any path, and opened", () => {
  const fd = host.openOwnNetwork()
  onTestFinished(() => void host.close(fd))
  for (const path of ["/proc/self/ns/net", `/proc/self/fd/${fd}`]) expect(host.isOwnNetwork(path)).toBe(1)
  for (const path of ["/proc/self/ns/mnt", "/etc/hostname"]) expect(host.isOwnNetwork(path)).toBe(0)
  expect(host.isOwnNetwork("/no/such/netns")).toBe(-ENOENT)
  expect(host.isOwnNetwork("\0")).toBe(-EINVAL)
})

test("enterNetwork moves the thread that JavaScript runs on, and back", () => {
  const { answers, places, other } = namespaced("entering.ts") as { answers: number[]; places: string[]; other: string }
  const [own, ...rest] = places
  expect(answers).toEqual([0, 0])
  expect(rest).toEqual([other, own])
  expect(own).not.toBe(other)
  expect(own).not.toBe(readlinkSync("/proc/self/ns/net"))
})

test("unshare leaves namespaces for new ones, and what is mounted there is seen there alone", () => {
  const directory = scratchDirectory()
  const seen = namespaced("leaving.ts", directory)
  expect(seen).toEqual({ answers: [0, 0, 0, 0, -ENOENT], moved: true, names: ["inside"] })
  expect(readdirSync(directory)).toEqual([])
})

const NEWRULE = 0x0a06
const DONE = 3
const INTERRUPTED = 0x10

/** A message of netfilter with one attribute. */
function messageOf(type: number, flags: number, attribute: number, payload: Uint8Array): Uint8Array {
  const length = 24 + payload.length
  const message = new Uint8Array((length + 3) & ~3)
  const view = new DataView(message.buffer)
  view.setUint32(0, length, true)
  view.setUint16(4, type, true)
  view.setUint16(6, flags, true)
  view.setUint16(20, 4 + payload.length, true)
  view.setUint16(22, attribute, true)
  message.set(payload, 24)
  return message
}

/** Lists where the wanted messages of a datagram begin. */
function wanted(messages: readonly Uint8Array[], text: string, attribute = 0, mark = 0): number[] {
  const datagram = Uint8Array.from(messages.flatMap((message) => [...message]))
  const found: number[] = []
  const next = (at: number) => host.nextMessage(datagram, at, host.encode(text), text.length, attribute, mark)
  for (let at = next(0); at < datagram.length; at = next(found.at(-1) === at ? at + 32 : at)) found.push(at)
  return found
}

test("the next message is one with the text, the end or an interruption", () => {
  const rule = (text: string, type = NEWRULE, flags = 2) => messageOf(type, flags, 7, host.encode(text.padEnd(8)))
  const messages = [rule("a"), rule("wanted"), rule("b"), rule("c", NEWRULE, INTERRUPTED), rule("d"), rule("e", DONE)]
  expect(wanted(messages, "wanted")).toEqual([32, 96, 160])
  expect(wanted(messages, "")).toEqual([96, 160])
  expect(wanted([rule("1234567!"), rule("b")], "! ")).toEqual([]) // the second begins with its length, a space
})

test("the next message is one with any of several texts", () => {
  const messages = ["ab", "bc", "cd", "de"].map((text) => messageOf(NEWRULE, 2, 7, host.encode(text.padEnd(8))))
  const datagram = Uint8Array.from(messages.flatMap((message) => [...message]))
  const next = (at: number, texts: string) => host.nextMessage(datagram, at, host.encode(texts), 2, 0, 0)
  expect([next(0, "xxcdab"), next(32, "xxcdab"), next(96, "xxcdab"), next(0, "xxd"), next(0, "x")]).toEqual([
    0, 64, 128, 128, 128,
  ])
})

test("the next message may also be one without the marked attribute", () => {
  const rule = (attribute: number, text: string) => messageOf(NEWRULE, 2, attribute, host.encode(text.padEnd(8)))
  const messages = [rule(7, "!a"), rule(7, "!key"), rule(7, "?b"), rule(4, "!c")]
  expect(wanted(messages, "key", 7, "!".charCodeAt(0))).toEqual([32, 64, 96])
})

test("the next message is one that does not fit, so that its reader says so", () => {
  const message = messageOf(NEWRULE, 2, 7, new Uint8Array(8))
  const next = (datagram: Uint8Array, at: number) => host.nextMessage(datagram, at, host.encode("text"), 4, 7, 0)
  expect(next(message, 0)).toBe(32)
  expect(next(message.subarray(0, 31), 0)).toBe(0)
  expect(next(message.subarray(0, 15), 0)).toBe(0)
  expect(next(message, 24)).toBe(24)
  expect(next(message, 99)).toBe(32)
  expect(next(message, -1)).toBe(32)
  new DataView(message.buffer).setUint32(0, 15, true)
  expect(next(message, 0)).toBe(0)
})
