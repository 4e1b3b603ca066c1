import { describe, expect, it } from "vitest"
import { KernelError } from "../netlink/kernel-error.ts"
import { type Errno, errnoName } from "../sys/errno.ts"
import { SystemError } from "../sys/system-error.ts"
import { TimedOut } from "../sys/timed-out.ts"
import { printFailure, toCniError } from "./error-document.ts"
import { CniError, code } from "./errors.ts"

const errnos: Errno[] = Array.from({ length: 133 }, (_, number) => errnoName(number + 1))

describe("toCniError", () => {
  it("passes typed errors through untouched", () => {
    const error = new CniError(11, "try again later", "the lock is taken")
    expect(toCniError(error)).toBe(error)
  })

  it.each([
    [new Error("boom"), "internal error: boom"],
    [new TypeError("x is undefined"), "internal error: x is undefined"],
    ["a text", "internal error: a text"],
    [undefined, "internal error: undefined"],
  ])("makes 999 of %s", (thrown, message) => {
    expect(toCniError(thrown)).toEqual(expect.objectContaining({ code: 999, message, cause: thrown }))
  })

  it.each([null, Object.assign(new Error("out of memory in regexp execution"), { name: "InternalError" })])(
    "says what to look at if the engine had not the memory to go on: %s",
    (thrown) => {
      const details = expect.stringContaining("ulimit -v")
      expect(toCniError(thrown)).toEqual(expect.objectContaining({ code: 999, message: "out of memory", details }))
    },
  )

  it("says what to look at if the stack was too small", () => {
    const thrown = new RangeError("Maximum call stack size exceeded")
    expect(toCniError(thrown)).toMatchObject({ code: 999, message: "out of memory" })
  })

  it.each(errnos)("says what to do about %s, of the kernel as of the node", (errno) => {
    expect(toCniError(new KernelError(errno, "make chain x")).details).not.toBe("")
    expect(toCniError(new SystemError(errno, "open x")).details).not.toBe("")
  })

  it.each([
    ["EMFILE", "ulimit -n"],
    ["EACCES", "root"],
    ["EROFS", "writable"],
  ] as const)("says what to do about a file that fails with %s: %s", (errno, words) => {
    expect(toCniError(new SystemError(errno, "open /run/netns/pod")).details).toContain(words)
  })

  it("says what the kernel or the node refused, and what for", () => {
    const rtnetlink = new KernelError("EOPNOTSUPP", "create veth eth0", { words: "no such type" })
    expect(toCniError(rtnetlink)).toEqual(
      expect.objectContaining({ code: code.kernel, message: rtnetlink.message, details: rtnetlink.advice }),
    )
    const system = new SystemError("ENOENT", "open /run/netns/pod")
    expect(toCniError(system)).toEqual(expect.objectContaining({ code: code.file, message: system.message }))
  })
})

it.each(["EROFS", "EACCES"] as const)(
  "says how a setting of the kernel's that cannot be changed (%s) can be",
  (errno) => {
    const error = new SystemError(errno, "open /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down")
    expect(toCniError(error)).toMatchObject({ code: 101, details: expect.stringContaining("make /proc/sys writable") })
    expect(toCniError(new SystemError(errno, "open /var/lib/cni/lock")).details).not.toContain("/proc/sys")
  },
)

describe("what took too long", () => {
  it.each([
    [new TimedOut("cannot lock x within 30 seconds", "process 5 (cat) holds it"), "process 5 (cat) holds it"],
    [new SystemError("ETIMEDOUT", "receive from the kernel"), expect.stringContaining("the kernel is slow")],
  ])("may be tried again later: %s", (error, details) => {
    expect(toCniError(error)).toMatchObject({ code: 11, message: error.message, details })
  })
})

describe("printFailure", () => {
  it("prints the document of the specification", () => {
    expect(printFailure(new CniError(7, "no <name>", "see docs"), "1.1.0")).toBe(`{
    "cniVersion": "1.1.0",
    "code": 7,
    "msg": "no \\u003cname\\u003e",
    "details": "see docs"
}`)
  })

  it("prints the bytes of the Go plugins where neither version nor details are known", () => {
    expect(printFailure(new CniError(4, "required env variables [CNI_NETNS] missing", ""), undefined)).toBe(`{
    "code": 4,
    "msg": "required env variables [CNI_NETNS] missing"
}`)
  })

  it("never prints a stack trace", () => {
    const error = toCniError(new Error("boom", { cause: new Error("below") }))
    expect(Object.keys(JSON.parse(printFailure(error, undefined)))).toEqual(["code", "msg", "details"])
    expect(printFailure(error, undefined)).not.toMatch(/\.ts|\bat \w+/)
  })
})
