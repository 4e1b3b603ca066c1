import { describe, expect, it } from "vitest"
import { CniError, changed, code, invalidConfig, undecodable, unsupportedField } from "./errors.ts"

describe("code", () => {
  it("keeps the meanings of the specification, and ours from 100 on", () => {
    const { incompatibleVersion, unsupportedField, badEnvironment, io, decoding, invalidConfig } = code
    expect([incompatibleVersion, unsupportedField, badEnvironment, io, decoding, invalidConfig]).toEqual([
      1, 2, 4, 5, 6, 7,
    ])
    const {
      invalidNetns,
      tryAgainLater,
      notAvailable,
      kernel,
      file,
      conflict,
      noAddress,
      changed,
      delegate,
      internal,
    } = code
    expect([invalidNetns, tryAgainLater, notAvailable, internal]).toEqual([8, 11, 50, 999])
    expect([kernel, file, conflict, noAddress, changed, delegate]).toEqual([100, 101, 102, 103, 104, 105])
  })

  it("says one thing with one number", () => {
    expect(new Set(Object.values(code)).size).toBe(Object.keys(code).length)
  })
})

describe("errors", () => {
  it("carry code, message, details and cause", () => {
    const cause = new Error("below")
    const error = new CniError(code.io, "cannot read", "try again", { cause })
    expect(error).toEqual(expect.objectContaining({ code: 5, message: "cannot read", details: "try again", cause }))
  })

  it("name the field of the config that is wrong", () => {
    expect(invalidConfig("ipam.ranges[0][1].subnet", "is missing", "add it")).toEqual(
      expect.objectContaining({
        code: 7,
        message: "invalid network config: ipam.ranges[0][1].subnet: is missing",
        details: "add it",
      }),
    )
  })

  it.each([
    ["mtu", "correct it in the network config"],
    ["runtimeConfig.mac", "the runtime sent it"],
    ["CNI_ARGS MAC", "the runtime sent it in CNI_ARGS"],
    ["prevResult.ips[0].address", "the plugins before this one"],
  ])("say of %s whose it is to correct: %s", (field, details) => {
    for (const error of [invalidConfig(field, "wrong"), undecodable(field, "wrong")]) {
      expect(error.details).toContain(details)
    }
  })

  it("name key and value of a field that is not served", () => {
    expect(unsupportedField("ipMasqBackend", "iptables", "use nftables")).toEqual(
      expect.objectContaining({
        code: 2,
        message: "unsupported field: ipMasqBackend: iptables",
        details: "use nftables",
      }),
    )
  })

  it("of CHECK say what to do", () => {
    expect(changed("eth0 is gone")).toEqual(
      expect.objectContaining({ code: 104, message: "eth0 is gone", details: expect.stringContaining("ADD again") }),
    )
  })
})
