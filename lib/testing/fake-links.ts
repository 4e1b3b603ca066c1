import { attributeSet, text, u32 } from "../netlink/attribute.ts"
import { type Message, NLM_F_ACK, NLM_F_DUMP } from "../netlink/message.ts"
import { HEADER } from "../netlink/route/link-header.ts"
import { RTM } from "../netlink/route/rtm.ts"
import { acknowledge, done, part, refuse } from "./fake-kernel.ts"
import { type FakeLink, linkMessage } from "./fake-stack.ts"

const ENODEV = 19

const asked = attributeSet({ name: [3, text, "IFLA_IFNAME"], master: [10, u32, "IFLA_MASTER"] })

/** Links in memory, which answer questions as rtnetlink does; tests alone change them. */
export class FakeLinks {
  #links: FakeLink[] = []

  add(...links: readonly (Omit<FakeLink, "index"> & { readonly index?: number })[]): void {
    const last = this.#links.at(-1)?.index ?? 1
    this.#links.push(...links.map((link, at) => ({ index: last + at + 1, ...link })))
  }

  remove(name: string): void {
    this.#links = this.#links.filter((link) => link.name !== name)
  }

  rename(name: string, newName: string): void {
    this.#links = this.#links.map((link) => (link.name === name ? { ...link, name: newName } : link))
  }

  /** Returns the kernel's answers to one message. */
  answer(message: Message): readonly Uint8Array[] {
    if (message.type !== RTM.GETLINK) throw new Error(`the fake links cannot answer type ${message.type}`)
    const { payload, flags } = message
    const { name, master } = asked.read(payload, HEADER)
    if ((flags & NLM_F_DUMP) === NLM_F_DUMP) {
      if (master !== undefined) throw new Error("the fake links cannot list the ports of a bridge")
      return [...this.#links.map((link) => part(message, RTM.NEWLINK, [linkMessage(link)])), done(message)]
    }
    const index = new DataView(payload.buffer, payload.byteOffset).getInt32(4, true)
    const link = this.#links.find((one) => (index > 0 ? one.index === index : one.name === name))
    if (!link) return [refuse(message, ENODEV)]
    const answer = part(message, RTM.NEWLINK, [linkMessage(link)], 0)
    return flags & NLM_F_ACK ? [answer, acknowledge(message)] : [answer]
  }
}
