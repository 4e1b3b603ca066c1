import { expect, test } from "vitest"
import { Conversation } from "../../lib/netlink/conversation.ts"
import { rememberedFilter } from "./remembered-filter.ts"

test("a remembered packet filter knows every way in which the kernel is asked", () => {
  const unused = { send: () => undefined, receive: () => new Uint8Array(), [Symbol.dispose]: () => undefined }
  const filter = rememberedFilter(new Conversation(unused), []).as()
  const known = Object.getOwnPropertyNames(Object.getPrototypeOf(filter))
  expect(known).toEqual(expect.arrayContaining(Object.getOwnPropertyNames(Conversation.prototype)))
})
