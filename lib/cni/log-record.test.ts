import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { SystemError } from "../sys/system-error.ts"
import { CniError } from "./errors.ts"
import { type CallReport, printCallReport, printNetlinkMessage } from "./log-record.ts"

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

const report: CallReport = {
  plugin: "bridge",
  variables: {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "3f2a",
    CNI_IFNAME: "eth0",
    CNI_NETNS: "/run/netns/cni-1",
    CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=x",
    TRACEPARENT: `00-${TRACE}-00f067aa0ba902b7-01`,
  },
  network: "podnet",
  at: new Date("2026-01-02T03:04:05.678Z"),
  sinceStart: 7.12345,
  phases: { start: 3, ipam: 0.555 },
  removed: [],
  failure: undefined,
}

const print = (more: Partial<CallReport>) => JSON.parse(printCallReport({ ...report, ...more }))

describe("a call's line in the log", () => {
  test("says whose call it was, what it was about and what it took", () => {
    expect(printCallReport(report)).toBe(
      `{"time":"2026-01-02T03:04:05.678Z","plugin":"bridge","verb":"ADD","network":"podnet","containerId":"3f2a","ifname":"eth0","netns":"/run/netns/cni-1","pod":"web-1","namespace":"shop","traceId":"${TRACE}","ms":7.12,"phases":{"start":3,"ipam":0.56}}`,
    )
  })

  test("says what a failure came from, to the bottom", () => {
    const bottom = new SystemError("EROFS", "create /x")
    const failure = new CniError(101, "no lease", "look at the disk", {
      cause: new Error("no lease", { cause: new Error("middle", { cause: bottom }) }),
    })
    expect(print({ failure }).error).toEqual({
      code: 101,
      msg: "no lease",
      details: "look at the disk",
      causes: ["middle", "cannot create /x: EROFS (read-only file system)"],
    })
    expect(print({ failure: new CniError(7, "bad", "") }).error).toEqual({ code: 7, msg: "bad" })
  })

  test("ends where causes go round in a circle", () => {
    const [one, two] = [new Error("one"), new Error("two")]
    Object.assign(one, { cause: two })
    Object.assign(two, { cause: one })
    expect(print({ failure: new CniError(999, "x", "", { cause: one }) }).error.causes).toHaveLength(10)
  })

  test("names what was removed, a hundred things at most", () => {
    const removed = Array.from({ length: 1000 }, (_, index) => `lease ${index}`)
    expect(print({ removed })).toMatchObject({ removed: removed.slice(0, 100), removedTotal: 1000 })
    expect(print({ removed: ["lease"] })).toMatchObject({ removed: ["lease"] })
  })

  test.each([
    "",
    "00-xyz-00f067aa0ba902b7-01",
    `00-${TRACE}`,
    `${TRACE}`,
    `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`,
  ])("has no trace id for a TRACEPARENT of %j", (TRACEPARENT) => {
    expect(print({ variables: { CNI_COMMAND: "DEL", TRACEPARENT } })).not.toHaveProperty("traceId")
  })

  test("is one line of JSON, whatever the variables and errors hold", () => {
    const text = fc.string({
      unit: fc.constantFrom("a", "=", ";", "\n", "\r", "\0", "\\", '"', "\u001b", "\u2028", "\ud800"),
    })
    fc.assert(
      fc.property(text, text, text, (CNI_CONTAINERID, CNI_ARGS, message) => {
        const failure = new CniError(7, message, message)
        const line = printCallReport({ ...report, variables: { CNI_CONTAINERID, CNI_ARGS }, failure })
        expect(line).not.toMatch(/[\n\r\0]/)
        expect(JSON.parse(line).error.msg).toBe(message)
      }),
    )
  })
})

test("a netlink message's line says whose call it was, and the message", () => {
  const { phases, removed, failure, ...moment } = report
  const line = JSON.parse(printNetlinkMessage(moment, { direction: "sent", type: "RTM_GETLINK" }))
  const { phases: none, ...call } = print({})
  expect(line).toEqual({ ...call, netlink: { direction: "sent", type: "RTM_GETLINK" } })
})
