import { describe, expect, test, vi } from "vitest"
import type { NetlinkSocket } from "../sys/netlink-socket.ts"
import { addressMessage, FakeStack, found, linkMessage, nothing } from "../testing/fake-stack.ts"
import { Conflict } from "./conflict.ts"
import { waitForDetection, waitUntilUp } from "./events.ts"

const up = found(16, linkMessage({ index: 3, name: "veth0", kind: "veth" }))
const down = found(16, linkMessage({ index: 3, name: "veth0", kind: "veth", operstate: 3 }))

const unplugged = found(16, linkMessage({ index: 3, name: "eth0", kind: "vlan", operstate: 3, carrier: false }))

/** A stack that announces `count` changes, then is silent until the time is up. */
class AnnouncingStack extends FakeStack {
  readonly announce = vi.fn()
  override listen(group?: number): never {
    this.log.push(`listen to ${group}`)
    return {
      waitForEvent: this.announce,
      [Symbol.dispose]: () => this.log.push("closed"),
    } as unknown as NetlinkSocket as never
  }
}

describe("waiting until a link is up", () => {
  test("costs one question where it is", () => {
    const stack = new FakeStack({ GETLINK: [up] })
    expect(waitUntilUp(stack, 3)).toEqual({ operstate: "up", master: 0 })
    expect(stack.log).toEqual(["GETLINK"])
  })

  test("asks again once it listens, lest the change fall between question and listening", () => {
    const stack = new AnnouncingStack({ GETLINK: [down, up] })
    waitUntilUp(stack, 3)
    expect(stack.log).toEqual(["GETLINK", "listen to 1", "GETLINK", "closed"])
    expect(stack.announce).not.toHaveBeenCalled()
  })

  test("asks again after every announcement, which may be about another link", () => {
    const stack = new AnnouncingStack({ GETLINK: [down, down, down, up] })
    stack.announce.mockReturnValue(true)
    waitUntilUp(stack, 3)
    expect(stack.announce).toHaveBeenCalledTimes(2)
  })

  test("ends with an error that names the state when the time is up, and stops listening", () => {
    const stack = new AnnouncingStack({ GETLINK: [down] })
    stack.announce.mockReturnValueOnce(true).mockReturnValue(false)
    expect(() => waitUntilUp(stack, 3)).toThrow("bridge port in error state: lowerlayerdown")
    expect(stack.log.at(-1)).toBe("closed")
    expect(stack.announce.mock.calls.every(([seconds]) => seconds > 0 && seconds <= 5)).toBe(true)
  })

  test("of a link that is gone ends at once, with a Conflict", () => {
    const stack = new AnnouncingStack({ GETLINK: [down, down, nothing] })
    stack.announce.mockReturnValue(true)
    expect(() => waitUntilUp(stack, 3)).toThrow(Conflict)
    expect(stack.announce).toHaveBeenCalledTimes(1)
  })
})

describe("waiting for duplicate address detection", () => {
  const TENTATIVE = 0x40
  const FAILED = 0x08
  const address = (flags: number) => {
    const message = addressMessage(3, "fd00::5/64")
    message[2] = flags
    return found(20, message)
  }

  test("costs two questions where it has ended", () => {
    const stack = new FakeStack({ GETLINK: [up], GETADDR: [address(0)] })
    waitForDetection(stack, 3, "eth0")
    expect(stack.log).toEqual(["GETLINK", "GETADDR"])
  })

  test("is not waited for without a carrier, as on a master whose cable is out", () => {
    const stack = new FakeStack({ GETLINK: [unplugged], GETADDR: [address(TENTATIVE)] })
    waitForDetection(stack, 3, "eth0")
    expect(stack.log).toEqual(["GETLINK"])
  })

  test("ends when the kernel announces that it has", () => {
    const stack = new AnnouncingStack({
      GETLINK: [up],
      GETADDR: [address(TENTATIVE), address(TENTATIVE), address(0)],
    })
    stack.announce.mockReturnValue(true)
    waitForDetection(stack, 3, "eth0")
    expect(stack.log).toEqual(["GETLINK", "GETADDR", "listen to 9", "GETADDR", "GETADDR", "closed"])
  })

  test("ends with a Conflict when the address is a duplicate", () => {
    const stack = new AnnouncingStack({
      GETLINK: [up],
      GETADDR: [address(TENTATIVE), address(TENTATIVE), address(TENTATIVE | FAILED)],
    })
    stack.announce.mockReturnValue(true)
    expect(() => waitForDetection(stack, 3, "eth0")).toThrow(Conflict)
    expect(stack.log.at(-1)).toBe("closed")
  })

  test("that never ends is a Conflict on a link that is up, and is left to the kernel on one that is down", () => {
    const stuck = (link: typeof up) => {
      const stack = new AnnouncingStack({ GETADDR: [address(TENTATIVE)], GETLINK: [up, link] })
      stack.announce.mockReturnValue(false)
      return () => waitForDetection(stack, 3, "eth0")
    }
    expect(stuck(up)).toThrow("still tentative after 5 seconds")
    expect(stuck(down)).not.toThrow()
  })
})
