import { describe, expect, test, vi } from "vitest"
import { SystemError } from "../sys/system-error.ts"
import { type Answer, acknowledge, done, FakeKernel, part, refuse, refuseAt } from "../testing/fake-kernel.ts"
import { WireError } from "./attribute.ts"
import type { Request } from "./conversation.ts"
import { KernelError } from "./kernel-error.ts"
import { decodeMessages, type Message } from "./message.ts"
import { nfnetlink } from "./netfilter/protocol.ts"
import { ensureChain, ensureTable } from "./netfilter/ruleset.ts"
import { transact } from "./netfilter/transaction.ts"
import { changeLink } from "./route/link.ts"
import { rtnetlink } from "./route/rtnetlink.ts"

const question: Request = { asked: "ask", type: 18, write: (writer) => void writer.u32(1) }
const payload = (...values: number[]) => Uint8Array.from(values)
const sent = (kernel: FakeKernel) => kernel.requests.flatMap(decodeMessages)

/** A kernel whose first answers are given; afterwards it repeats the last. */
function answering(...answers: Answer[]): FakeKernel {
  let count = 0
  return new FakeKernel((request) => (answers[Math.min(count++, answers.length - 1)] as Answer)(request))
}

describe("performing", () => {
  test("asks for an acknowledgement and counts its requests", () => {
    const kernel = answering((request) => [acknowledge(request)])
    kernel.conversation.execute({ ...question, flags: 0x600 })
    kernel.conversation.execute(question)
    expect(sent(kernel).map(({ type, flags, sequence }) => ({ type, flags, sequence }))).toEqual([
      { type: 18, flags: 0x605, sequence: 1 },
      { type: 18, flags: 0x005, sequence: 2 },
    ])
  })

  test("a refusal is a KernelError with what was asked, the number's name and the kernel's words", () => {
    const kernel = answering((request) => [refuse(request, 22, "Invalid MTU")])
    const attempt = () => kernel.conversation.execute({ ...question, asked: "change link eth0" })
    expect(attempt).toThrow(KernelError)
    expect(attempt).toThrow('cannot change link eth0: EINVAL (invalid argument), kernel says "Invalid MTU"')
  })

  /** struct nlmsghdr and struct ifinfomsg are 16 bytes each, and IFLA_MTU is the first attribute. */
  test.each([
    [32, "ERANGE (numerical result out of range): IFLA_MTU, kernel says"],
    [16, "ERANGE (numerical result out of range), kernel says"],
    [4000, "ERANGE (numerical result out of range), kernel says"],
  ])("a refusal names the attribute that the kernel points at, if there is one at byte %i", (offset, words) => {
    const kernel = new FakeKernel((request) => [refuseAt(request, 34, offset, "greater than maximum")], rtnetlink)
    expect(() => changeLink(kernel.conversation, 2, "eth0", { mtu: 70_000 })).toThrow(
      `cannot change link eth0 (mtu): ${words} "greater than maximum"`,
    )
  })

  test("a refused part of a transaction names the attribute of that part", () => {
    const table = { family: "inet", name: "t" } as const
    const kernel = new FakeKernel((request) => {
      const generation = [part(request, 0x0a0f, [payload(0, 0, 0, 0)], 0), acknowledge(request)]
      if (request.type === 0x0a10) return generation
      return request.type === 0x0a03 ? [refuseAt(request, 2, 20)] : request.flags & 4 ? [acknowledge(request)] : []
    }, nfnetlink)
    const changes = [ensureTable(table), ensureChain({ table, name: "c" })]
    expect(() => transact(kernel.conversation, () => changes)).toThrow(
      "cannot make chain c of table inet t: ENOENT (no such file or directory): NFTA_CHAIN_TABLE",
    )
  })

  test("answers to an earlier request, given up on, are passed over", () => {
    const kernel = answering((request) => [
      refuse({ ...request, sequence: request.sequence - 1 }, 16),
      part({ ...request, sequence: request.sequence + 5 }, 16, [payload(9)]),
      acknowledge(request),
    ])
    expect(() => kernel.conversation.execute(question)).not.toThrow()
  })

  test("goes on working after a refusal and after a malformed answer", () => {
    const kernel = answering(
      (request) => [refuse(request, 16)],
      () => [payload(1, 2, 3)],
      (request) => [acknowledge(request)],
    )
    expect(() => kernel.conversation.execute(question)).toThrow(KernelError)
    expect(() => kernel.conversation.execute(question)).toThrow(WireError)
    expect(() => kernel.conversation.execute(question)).not.toThrow()
  })
})

describe("performing several together", () => {
  const named = (asked: string): Request => ({ ...question, asked })

  test("takes one datagram, of which the last request is acknowledged", () => {
    const kernel = answering((request) => (request.flags & 4 ? [acknowledge(request)] : []))
    const { conversation } = kernel
    conversation.together(() => {
      conversation.execute(named("first"))
      conversation.remove(named("second"))
    })
    expect(kernel.requests).toHaveLength(1)
    expect(sent(kernel).map(({ flags, sequence }) => [flags, sequence])).toEqual([
      [1, 1],
      [5, 2],
    ])
  })

  test("of nothing asks nothing", () => {
    const kernel = answering()
    kernel.conversation.together(() => {})
    expect(kernel.requests).toEqual([])
  })

  test("throws the first refusal, once the last is answered; nothing there is none if that is fine", () => {
    const [ENOENT, EEXIST, EPERM] = [2, 17, 1]
    const refusing = (...numbers: number[]) =>
      answering(
        ...numbers.map(
          (it): Answer =>
            (one) => [refuse(one, it)],
        ),
      )
    const attempt = ({ conversation }: FakeKernel) =>
      conversation.together(() => {
        conversation.remove(named("forget"))
        conversation.execute(named("add"))
        conversation.execute(named("set"))
      })
    const kernel = refusing(ENOENT, EEXIST, EPERM)
    expect(() => attempt(kernel)).toThrow("cannot add: EEXIST")
    expect(() => kernel.receive()).toThrow("nothing more to say")
    expect(() => attempt(refusing(EPERM, EEXIST, EPERM))).toThrow("cannot forget: EPERM")
  })

  test("takes several datagrams if there are so many that a socket has no room for their refusals", () => {
    const refusing: Answer = (request) => [refuse(request, request.sequence < 100 ? 2 : 17)]
    const kernel = new FakeKernel(refusing)
    const { conversation } = kernel
    const attempt = () =>
      conversation.together(() => {
        for (let at = 1; at <= 150; at++) conversation.remove(named(`forget ${at}`))
      })
    expect(attempt).toThrow("cannot forget 100: EEXIST")
    expect(kernel.requests.map((datagram) => decodeMessages(datagram).length)).toEqual([64, 64, 22])
    expect(() => kernel.receive()).toThrow("nothing more to say")
  })

  test("sends nothing of a body that throws, and gathers no more", () => {
    const kernel = answering((request) => [acknowledge(request)])
    const { conversation } = kernel
    const failing = () =>
      conversation.together(() => {
        conversation.execute(named("first"))
        throw new RangeError("as computed")
      })
    expect(failing).toThrow(RangeError)
    conversation.execute(named("undo"))
    expect(sent(kernel)).toHaveLength(1)
  })
})

test("a transaction with more refusals than the socket has room for goes on with another socket", () => {
  const lost = () => {
    throw new SystemError("ENOBUFS", "receive from the kernel")
  }
  const kernel = answering((request) => (request.sequence === 2 ? [refuse(request, 2)] : []))
  const receive = vi.spyOn(kernel, "receive").mockImplementationOnce(lost)
  const abandon = vi.fn()
  const { conversation } = Object.assign(kernel, { abandon })
  expect(() => conversation.batch(question, [question, question], question)).toThrow("cannot ask: ENOENT")
  expect([receive.mock.calls.length, abandon.mock.calls.length]).toEqual([2, 1])
})

describe("asking about one object", () => {
  test("gives what was read of the answer that precedes the acknowledgement", () => {
    const kernel = answering((request) => [part(request, 16, [payload(1, 2, 3, 4)], 0), acknowledge(request)])
    const read = ({ type, payload: [...bytes] }: Message) => ({ type, bytes })
    expect(kernel.conversation.get(question, read)).toEqual({ type: 16, bytes: [...payload(1, 2, 3, 4)] })
  })

  test("an acknowledgement without an answer is a WireError", () => {
    const kernel = answering((request) => [acknowledge(request)])
    expect(() => kernel.conversation.get(question, () => 1)).toThrow(WireError)
  })
})

describe("dumps", () => {
  const first = (request: Message) => part(request, 16, [payload(1), payload(2)])
  const second = (request: Message) => part(request, 16, [payload(3)])
  const firstByte = ({ payload: [byte] }: Message) => byte

  test("collect every message of every datagram, in order, until the kernel is done", () => {
    const kernel = answering((request) => [first(request), second(request), done(request)])
    const { values, partial } = kernel.conversation.dump(question, firstByte)
    expect(values).toEqual([1, 2, 3])
    expect(partial).toBe(false)
    expect(sent(kernel).map(({ flags }) => flags)).toEqual([0x301])
  })

  test("the end may come in the same datagram as the last object", () => {
    const kernel = answering((request) => [Uint8Array.of(...first(request), ...done(request))])
    expect(kernel.conversation.dump(question, firstByte).values).toEqual([1, 2])
  })

  test("an interrupted one is read again from the start, and what it brought is forgotten", () => {
    const kernel = answering(
      (request) => [first(request), done(request, { interrupted: true })],
      (request) => [second(request), done(request)],
    )
    const { values, partial } = kernel.conversation.dump(question, firstByte)
    expect(values).toEqual([3])
    expect(partial).toBe(false)
    expect(sent(kernel).map(({ sequence }) => sequence)).toEqual([1, 2])
  })

  test("the mark of interruption counts on any of its messages", () => {
    const kernel = answering(
      (request) => [part(request, 16, [payload(1)], 0x2 | 0x10), second(request), done(request)],
      (request) => [second(request), done(request)],
    )
    expect(kernel.conversation.dump(question, firstByte).values).toEqual([3])
  })

  test("one that is interrupted every time ends after five attempts, marked as partial", () => {
    const kernel = answering((request) => [first(request), done(request, { interrupted: true })])
    const { values, partial } = kernel.conversation.dump(question, firstByte)
    expect(values).toEqual([1, 2])
    expect(partial).toBe(true)
    expect(kernel.requests.length).toBe(5)
  })

  test("an error at the end is a KernelError, though objects came before it", () => {
    const kernel = answering((request) => [first(request), done(request, { errno: 2 })])
    expect(() => kernel.conversation.dump({ ...question, asked: "list routes" }, firstByte)).toThrow(
      "cannot list routes: ENOENT (no such file or directory)",
    )
  })

  test("are given up in their midst once the first value is there, if more than another datagram would come", () => {
    const lists = [4, 2].map((length) => {
      const list = (request: Message) =>
        Array.from({ length }, (_, index) => part(request, 16, [payload(index)])).concat([done(request)])
      let abandoned = 0
      const kernel = Object.assign(answering(list), { abandon: () => ++abandoned })
      expect(kernel.conversation.dumpFirst(question, (message) => firstByte(message) || undefined).values).toEqual([1])
      return abandoned
    })
    expect(lists).toEqual([1, 1])
    const short = Object.assign(
      answering((request) => [part(request, 16, [payload(1)]), done(request)]),
      { abandon: () => expect.unreachable() },
    )
    expect(short.conversation.dumpFirst(question, firstByte).values).toEqual([1])
  })

  test("an error instead of a dump is a KernelError", () => {
    const kernel = answering((request) => [refuse(request, 1)])
    expect(() => kernel.conversation.dump(question, firstByte)).toThrow("cannot ask: EPERM (operation not permitted)")
  })
})
