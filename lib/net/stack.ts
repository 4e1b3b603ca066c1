import { Conversation, type Transport } from "../netlink/conversation.ts"
import { nfnetlink } from "../netlink/netfilter/protocol.ts"
import type { Protocol } from "../netlink/protocol.ts"
import { rtnetlink } from "../netlink/route/rtnetlink.ts"
import { tracer, traceSysctl } from "../netlink/trace.ts"
import { readNamedIfThere, writeExisting } from "../sys/file.ts"
import { NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket } from "../sys/netlink-socket.ts"
import { NetworkNamespace } from "../sys/netns.ts"

/** The kernel's settings of one network namespace: files below /proc/sys, whose names begin with `net/`. */
export interface Sysctls {
  /** Returns the setting's value, or undefined if the kernel has none. */
  readSysctl(name: string): string | undefined
  /** Throws SystemError, ENOENT if the kernel has no such setting, as without IPv6. */
  writeSysctl(name: string, value: string): void
  /** Sets what may stay as it is: it does not matter if the kernel lacks the setting or does not let it be changed. */
  trySysctl(name: string, value: string): void
}

/** The network stack of one network namespace: links, addresses and routes, packet filter, and sysctls. */
export interface NetworkStack extends Disposable, Sysctls {
  /** Undefined for the namespace that this process runs in. */
  readonly namespace: NetworkNamespace | undefined
  readonly rtnetlink: Conversation
  readonly nfnetlink: Conversation
  /** Has `body` read and set several of the stack's sysctls: a pod's namespace is entered and left once for all. It must not wait. */
  withSysctls<Value>(body: (own: Sysctls) => Value): Value
  /** Runs `body` in the stack's network namespace. It must not wait. */
  inside<Value>(body: () => Value): Value
  /** Opens a socket that hears the kernel's announcements (RTNLGRP_*) from now on. */
  listen(group: number): NetlinkSocket
}

export const NetworkStack = {
  /** Opens the node's own stack. */
  host: (): NetworkStack => new KernelStack(undefined),

  /** Opens a pod's stack. Throws SystemError if `path` is missing or no network namespace. */
  pod(path: string): NetworkStack {
    const namespace = new NetworkNamespace(path)
    try {
      return new KernelStack(namespace)
    } catch (error) {
      namespace[Symbol.dispose]()
      throw error
    }
  },
}

/** The kernel's. Few calls need all of it: what is not asked for is not made. */
class KernelStack implements NetworkStack {
  readonly namespace: NetworkNamespace | undefined
  #rtnetlink: Conversation | undefined
  #nfnetlink: Conversation | undefined

  constructor(namespace: NetworkNamespace | undefined) {
    this.namespace = namespace
    // A pod's socket is opened at once: to enter the namespace shows that the path leads to one.
    if (namespace) this.#rtnetlink = new Conversation(openSocket(this, NETLINK_ROUTE, rtnetlink), rtnetlink)
  }

  get rtnetlink(): Conversation {
    this.#rtnetlink ??= converse(this, NETLINK_ROUTE, rtnetlink)
    return this.#rtnetlink
  }

  get nfnetlink(): Conversation {
    this.#nfnetlink ??= converse(this, NETLINK_NETFILTER, nfnetlink)
    return this.#nfnetlink
  }

  readSysctl(name: string): string | undefined {
    return this.withSysctls((own) => own.readSysctl(name))
  }

  writeSysctl(name: string, value: string): void {
    this.withSysctls((own) => own.writeSysctl(name, value))
  }

  trySysctl(name: string, value: string): void {
    this.withSysctls((own) => own.trySysctl(name, value))
  }

  withSysctls<Value>(body: (own: Sysctls) => Value): Value {
    return this.inside(() => body(new SysctlsHere(this.namespace?.path)))
  }

  inside<Value>(body: () => Value): Value {
    return this.namespace ? this.namespace.inside(body) : body()
  }

  listen(group: number): NetlinkSocket {
    const socket = openSocket(this, NETLINK_ROUTE, rtnetlink)
    socket.join(group)
    return socket
  }

  [Symbol.dispose](): void {
    this.#rtnetlink?.[Symbol.dispose]()
    this.#nfnetlink?.[Symbol.dispose]()
    this.namespace?.[Symbol.dispose]()
  }
}

function converse(stack: NetworkStack, number: number, protocol: Protocol): Conversation {
  return new Conversation(new LazySocket(() => openSocket(stack, number, protocol)), protocol)
}

function openSocket(stack: NetworkStack, number: number, protocol: Protocol): NetlinkSocket {
  return stack.inside(() => new NetlinkSocket(number, tracer(protocol, stack.namespace?.path)))
}

/** The longest are lists of ports, as net/ipv4/ip_local_reserved_ports. */
const SYSCTL_LIMIT = 1 << 20

/** The sysctls of the namespace that the process is in at the moment; the log calls it by its path. */
class SysctlsHere implements Sysctls {
  readonly #netns: string | undefined

  constructor(netns: string | undefined) {
    this.#netns = netns
  }

  readSysctl(name: string): string | undefined {
    return readNamedIfThere(`/proc/sys/${name}`, SYSCTL_LIMIT)?.trim()
  }

  writeSysctl(name: string, value: string): void {
    writeExisting(`/proc/sys/${name}`, value)
    if (value !== "") traceSysctl(this.#netns, name, value) // without a value it is only tried
  }

  trySysctl(name: string, value: string): void {
    try {
      this.writeSysctl(name, value)
    } catch {}
  }
}

/** A socket that is opened when it is first used: few calls need the packet filter. */
class LazySocket implements Transport {
  readonly #open: () => NetlinkSocket
  #socket: NetlinkSocket | undefined

  constructor(open: () => NetlinkSocket) {
    this.#open = open
  }

  send(message: Uint8Array): void {
    this.#socket ??= this.#open()
    this.#socket.send(message)
  }

  receive(): Uint8Array {
    this.#socket ??= this.#open()
    return this.#socket.receive()
  }

  indexOf(name: string): number | undefined {
    this.#socket ??= this.#open()
    return this.#socket.indexOf(name)
  }

  /** The next request goes through a socket of its own. */
  abandon(): void {
    this[Symbol.dispose]()
    this.#socket = undefined
  }

  [Symbol.dispose](): void {
    this.#socket?.[Symbol.dispose]()
  }
}
