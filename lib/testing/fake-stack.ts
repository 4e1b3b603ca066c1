import { addressBytes } from "../ip/address.ts"
import { parsePrefix } from "../ip/prefix.ts"
import type { NetworkStack, Sysctls } from "../net/stack.ts"
import { attributeSet, bytes, encode, nested, text, u32 } from "../netlink/attribute.ts"
import { decodeMessages } from "../netlink/message.ts"
import { IFF_LOWER_UP, IFF_UP } from "../netlink/route/link-header.ts"
import { Writer } from "../netlink/writer.ts"
import { type Answer, acknowledge, done, FakeKernel, part, refuse } from "./fake-kernel.ts"

const names: Readonly<Record<number, string>> = {
  16: "NEWLINK",
  17: "DELLINK",
  18: "GETLINK",
  19: "SETLINK",
  20: "NEWADDR",
  21: "DELADDR",
  22: "GETADDR",
  24: "NEWROUTE",
  26: "GETROUTE",
  36: "NEWQDISC",
  37: "DELQDISC",
  38: "GETQDISC",
  44: "NEWTFILTER",
  45: "DELTFILTER",
  90: "GETNSID",
}

/** The kernel's answers to each kind of request, in turn; the last one stands for all that follow. */
export type Script = Readonly<Record<string, readonly Answer[]>>

/** Agrees to everything and has nothing, unless the script says otherwise. All sysctls are 0 and stay so. */
export class FakeStack implements NetworkStack {
  readonly namespace = undefined
  /** The kinds of all requests so far, and what tests add. */
  readonly log: string[] = []
  readonly fake: FakeKernel
  readonly #counts = new Map<string, number>()

  constructor(script: Script = {}) {
    this.fake = new FakeKernel((request) => {
      const name = names[request.type] ?? `type ${request.type}`
      const count = this.#counts.get(name) ?? 0
      this.#counts.set(name, count + 1)
      this.log.push(name)
      const answers = script[name] ?? [name.startsWith("GET") ? nothing : agreed]
      return (answers[Math.min(count, answers.length - 1)] ?? agreed)(request)
    })
  }

  get rtnetlink() {
    return this.fake.conversation
  }

  get nfnetlink() {
    return this.fake.conversation
  }

  /** Returns the bodies of the requests of one kind, in order. */
  bodies(name: string): Uint8Array[] {
    const messages = this.fake.requests.flatMap(decodeMessages)
    return messages.filter(({ type }) => names[type] === name).map(({ payload }) => payload)
  }

  readSysctl(_name: string): string | undefined {
    return "0"
  }

  writeSysctl(_name: string, _value: string): void {}

  trySysctl(_name: string, _value: string): void {}

  withSysctls<Value>(body: (own: Sysctls) => Value): Value {
    return body(this)
  }

  inside<Value>(body: () => Value): Value {
    return body()
  }

  listen(): never {
    throw new Error("a fake stack has no events")
  }

  [Symbol.dispose](): void {}
}

export const agreed: Answer = (request) => [acknowledge(request)]

/** Answers that there is no such link, or by a dump without objects. */
export const nothing: Answer = (request) => [request.flags & 0x300 ? done(request) : refuse(request, 19)]

export function refused(errno: number): Answer {
  return (request) => [refuse(request, errno)]
}

/** Returns an answer to one question or to a dump: these objects. */
export function found(type: number, ...payloads: Uint8Array[]): Answer {
  return (request) => [part(request, type, payloads), request.flags & 0x300 ? done(request) : acknowledge(request)]
}

export const EPERM = 1
export const EEXIST = 17

const info = attributeSet({ kind: [1, text, "IFLA_INFO_KIND"] })
const linkAttributes = attributeSet({
  mac: [1, bytes, "IFLA_ADDRESS"],
  name: [3, text, "IFLA_IFNAME"],
  mtu: [4, u32, "IFLA_MTU"],
  peer: [5, u32, "IFLA_LINK"],
  master: [10, u32, "IFLA_MASTER"],
  operstate: [16, bytes, "IFLA_OPERSTATE"],
  info: [18, nested(info), "IFLA_LINKINFO"],
  alias: [20, text, "IFLA_IFALIAS"],
  peerNamespace: [37, u32, "IFLA_LINK_NETNSID"],
})

export interface FakeLink {
  readonly index: number
  readonly name: string
  readonly kind?: string
  readonly up?: boolean
  /** As `up` unless given. */
  readonly carrier?: boolean
  readonly mtu?: number
  readonly master?: number
  readonly peer?: number
  readonly peerNamespace?: number | undefined
  readonly alias?: string
  /** RFC 2863: 2 is down, 6 is up. */
  readonly operstate?: number
}

/** Returns RTM_NEWLINK without its header. */
export function linkMessage({ index, name, kind = "bridge", mtu = 1500, operstate = 6, ...rest }: FakeLink) {
  const { up = true, carrier = up } = rest
  const flags = (up ? IFF_UP : 0) | (carrier ? IFF_LOWER_UP : 0)
  const writer = new Writer().u32(0).u32(index).u32(flags).u32(0)
  const mac = Uint8Array.of(2, 0, 0, 0, 0, index)
  linkAttributes.write(writer, { ...rest, mac, name, mtu, operstate: Uint8Array.of(operstate), info: { kind } })
  return writer.bytes
}

/** Returns RTM_NEWADDR without its header. */
export function addressMessage(index: number, prefix: string): Uint8Array {
  const { address, length } = parsePrefix(prefix) ?? { address: { family: 4, value: 0n } as const, length: 0 }
  const attributes = attributeSet({ local: [2, bytes, "IFA_LOCAL"] })
  const writer = new Writer()
    .u8(address.family === 4 ? 2 : 10)
    .u8(length)
    .u16(0)
    .u32(index)
  return writer.raw(encode(attributes, { local: addressBytes(address) })).bytes
}
