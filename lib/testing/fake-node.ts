import type { NetworkStack } from "../net/stack.ts"
import { FakeKernel } from "./fake-kernel.ts"
import { FakeLinks } from "./fake-links.ts"
import { FakeNftables } from "./fake-nftables.ts"

/** A node's network in memory: its links, which tests lay out, and its packet filter. */
export class FakeNode implements NetworkStack {
  readonly namespace = undefined
  readonly links: FakeLinks
  readonly #nftables: FakeNftables
  readonly #filter: FakeKernel
  readonly rtnetlink
  readonly nfnetlink
  readonly readSysctl = noSysctls
  readonly writeSysctl = noSysctls
  readonly trySysctl = noSysctls
  readonly withSysctls = noSysctls
  readonly inside = noSysctls
  #meanwhile: { readonly type: number; readonly step: () => void } | undefined

  constructor(links = new FakeLinks(), nftables = new FakeNftables()) {
    this.links = links
    this.#nftables = nftables
    this.rtnetlink = new FakeKernel((message) => links.answer(message)).conversation
    this.#filter = new FakeKernel((message) => {
      this.#interrupt(message.type)
      return nftables.answer(message)
    })
    this.nfnetlink = this.#filter.conversation
  }

  /** Returns every request to the packet filter so far, byte for byte. */
  get filterRequests(): readonly Uint8Array[] {
    return this.#filter.requests
  }

  /** Returns the same node as another process reaches it. */
  again(): FakeNode {
    return new FakeNode(this.links, this.#nftables)
  }

  /** Has somebody else do `step` just before the packet filter gets its next message of that type. */
  meanwhile(type: number, step: () => void): void {
    this.#meanwhile = { type, step }
  }

  #interrupt(type: number): void {
    if (this.#meanwhile?.type !== type) return
    const { step } = this.#meanwhile
    this.#meanwhile = undefined
    step()
  }

  listen(): never {
    throw new Error("a fake node has no events")
  }

  [Symbol.dispose](): void {}
}

function noSysctls(): never {
  throw new Error("a fake node has no sysctls")
}
