import { describe, expect, test } from "vitest"
import type { Delegate } from "../cni/delegate.ts"
import { CniError, code } from "../cni/errors.ts"
import { emptyResult, type Result } from "../cni/result.ts"
import { type Prefix, parsePrefix } from "../ip/prefix.ts"
import { Conflict } from "../net/conflict.ts"
import { Undo } from "../net/undo.ts"
import { takeAddresses } from "./addresses.ts"

describe("taking addresses", () => {
  /** Returns an IPAM plugin that answers ADD by these, in turn, and keeps what it was asked. */
  function ipamOf(...answers: (Result | Error)[]): { ipam: Delegate; asked: string[] } {
    const asked: string[] = []
    const note = (verb: string) => () => void asked.push(verb)
    const add = () => {
      asked.push("add")
      const answer = answers.shift()
      if (!answer || answer instanceof Error) throw answer
      return answer
    }
    return { asked, ipam: { add, del: note("del"), check: note("check"), gc: note("gc"), status: note("status") } }
  }

  const result: Result = { ...emptyResult, ips: [{ address: parsePrefix("10.1.2.3/24") as Prefix }] }

  test("asks once, and gives them back if a later step fails", () => {
    const { ipam, asked } = ipamOf(result)
    const undo = new Undo()
    expect(takeAddresses(ipam, "some-ipam", undo)).toBe(result)
    expect(asked).toEqual(["add"])
    undo[Symbol.dispose]()
    expect(asked).toEqual(["add", "del"])
  })

  test.each(["0.0.0.0/0", "0.0.0.0/24", "10.1.2.3/0", "::/64", "fd00::2/0"])(
    "refuses %s, and gives it back",
    (text) => {
      const { ipam, asked } = ipamOf({ ...emptyResult, ips: [{ address: parsePrefix(text) as Prefix }] })
      const undo = new Undo()
      expect(() => takeAddresses(ipam, "some-ipam", undo)).toThrow(`returned ${text}, which is not one pod's address`)
      undo[Symbol.dispose]()
      expect(asked).toEqual(["add", "del"])
    },
  )

  const leftover = new CniError(
    code.conflict,
    "10.1.2.3 has been allocated to c1, duplicate allocation is not allowed",
    "DEL",
  )

  test("releases the leases that a killed ADD left and asks once more", () => {
    const { ipam, asked } = ipamOf(leftover, result)
    takeAddresses(ipam, "some-ipam", new Undo())
    expect(asked).toEqual(["add", "del", "add"])
  })

  test("passes on the second refusal, with nothing to give back", () => {
    const { ipam, asked } = ipamOf(leftover, new Error("range is full"))
    const undo = new Undo()
    expect(() => takeAddresses(ipam, "some-ipam", undo)).toThrow("range is full")
    undo[Symbol.dispose]()
    expect(asked).toEqual(["add", "del", "add"])
  })

  test("leaves the leases that the attachment has in another network namespace", () => {
    const { ipam, asked } = ipamOf(new Conflict("the attachment has addresses in another network namespace", "DEL"))
    expect(() => takeAddresses(ipam, "some-ipam", new Undo())).toThrow(Conflict)
    expect(asked).toEqual(["add"])
  })

  test("asks once where IPAM refuses for any other reason", () => {
    const { ipam, asked } = ipamOf(new CniError(code.noAddress, "range is full", "enlarge it"))
    expect(() => takeAddresses(ipam, "some-ipam", new Undo())).toThrow("range is full")
    expect(asked).toEqual(["add"])
  })

  test("refuses an answer without any, and gives back what IPAM may have taken", () => {
    const { ipam, asked } = ipamOf(emptyResult)
    const undo = new Undo()
    expect(() => takeAddresses(ipam, "some-ipam", undo)).toThrow(CniError)
    expect(() => takeAddresses(ipamOf(emptyResult).ipam, "some-ipam", undo)).toThrow(
      "IPAM plugin returned missing IP config",
    )
    undo[Symbol.dispose]()
    expect(asked).toEqual(["add", "del"])
  })
})
