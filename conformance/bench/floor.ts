import { type Address, plus } from "../../lib/ip/address.ts"
import { localMac } from "../../lib/ip/mac.ts"
import { defaultPrefix, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"
import { Conversation } from "../../lib/netlink/conversation.ts"
import { decodeMessages, NLMSG_ERROR, refusalIn } from "../../lib/netlink/message.ts"
import { addAddress } from "../../lib/netlink/route/address.ts"
import { changeLink, type Link, readLink, removeLink } from "../../lib/netlink/route/link.ts"
import { createBridge, createVeth } from "../../lib/netlink/route/new-link.ts"
import { addRoute } from "../../lib/netlink/route/route.ts"
import { Writer } from "../../lib/netlink/writer.ts"
import { randomBytes } from "../../lib/sys/digest.ts"
import { NETLINK_ROUTE, NetlinkSocket } from "../../lib/sys/netlink-socket.ts"
import { NetworkNamespace } from "../../lib/sys/netns.ts"
import { inKernel } from "./kernel-clock.ts"
import type { Pod } from "./pod.ts"

const MTU = 1450

/**
 * ADD and DEL by the kernel alone: the system calls without which a pod is not connected, as few as there can be. No lease, no
 * question whether something is there already, no result, and nothing of the process that makes them.
 */
export class Floor {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE)
  readonly #host = new Conversation(this.#socket)
  readonly #subnets: readonly Prefix[]
  readonly #bridge: Link
  #pods = 0n

  /** With a bridge that is there, or else with one of its own. */
  constructor(subnets: readonly string[], present?: string) {
    const name = present ?? `floor-${subnets.length === 1 ? "4" : "6"}`
    this.#subnets = subnets.flatMap((subnet) => parsePrefix(subnet) ?? [])
    if (!present) createBridge(this.#host, { name, mac: localMac(randomBytes(6)), mtu: MTU, vlanFiltering: false })
    this.#bridge = expectLink(this.#host, name)
    changeLink(this.#host, this.#bridge.index, name, { up: true })
  }

  /** The milliseconds it takes to connect the pod. */
  add(pod: Pod): number {
    const offset = ++this.#pods + 1n
    return inKernel(() => this.#connect(pod, offset))
  }

  del(pod: Pod): number {
    return inKernel(() => removeLink(this.#host, vethName(pod)))
  }

  #connect(pod: Pod, offset: bigint): void {
    using namespace = new NetworkNamespace(pod.namespace.path)
    using inPod = namespace.inside(() => new NetlinkSocket(NETLINK_ROUTE))
    const name = vethName(pod)
    createVeth(this.#host, {
      name,
      mac: localMac(randomBytes(6)),
      mtu: this.#bridge.mtu,
      master: this.#bridge.index,
      peer: { name: "eth0", mac: localMac(randomBytes(6)), mtu: this.#bridge.mtu, namespace: namespace.fd },
    })
    const { index, peer } = expectLink(this.#host, name)
    changeLink(this.#host, index, name, { up: true, addrGenMode: "none" })
    batch(inPod, (rtnetlink) => this.#configure(rtnetlink, peer, offset))
  }

  #configure(rtnetlink: Conversation, index: number, offset: bigint): void {
    for (const { address, length } of this.#subnets) {
      const prefix = { address: plus(address, offset), length }
      addAddress(rtnetlink, { index, link: "eth0", prefix, skipDetection: address.family === 6 })
    }
    changeLink(rtnetlink, index, "eth0", { up: true })
    for (const { address } of this.#subnets) {
      const gateway: Address = plus(address, 1n)
      addRoute(rtnetlink, index, { dst: defaultPrefix(address.family), gateway })
      if (address.family === 4)
        addRoute(rtnetlink, index, { dst: { address: { family: 4, value: 10n << 24n }, length: 8 }, gateway })
    }
  }
}

function vethName(pod: Pod): string {
  return `f-${pod.containerId}`.slice(-15)
}

function expectLink(rtnetlink: Conversation, name: string): Link {
  const link = readLink(rtnetlink, name)
  if (!link) throw new Error(`${name} vanished`)
  return link
}

/** Sends everything that `write` asks for in one system call, then reads the acknowledgements. */
function batch(socket: NetlinkSocket, write: (rtnetlink: Conversation) => void): void {
  const messages = new Writer()
  let awaited = 0
  const recorder = {
    send(message: Uint8Array): void {
      messages.raw(message).align()
      awaited++
    },
    receive: () => acknowledgement(awaited),
    [Symbol.dispose]() {},
  }
  write(new Conversation(recorder))
  socket.send(messages.bytes)
  while (awaited > 0) {
    for (const message of decodeMessages(socket.receive())) {
      const refusal = refusalIn(message, "do part of a batch")
      if (refusal) throw refusal
      awaited--
    }
  }
}

function acknowledgement(sequence: number): Uint8Array {
  return new Writer().u32(20).u16(NLMSG_ERROR).u16(0).u32(sequence).u32(0).u32(0).bytes
}
