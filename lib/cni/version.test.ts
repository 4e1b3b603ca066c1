import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { atLeast, compareVersions, latest, matchVersion, versions } from "./version.ts"

const part = fc.nat(999_999_999)
const version = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("."))

describe("compareVersions", () => {
  it("orders the versions of the specification as they came", () => {
    expect([...versions].sort(compareVersions)).toEqual(versions)
    expect([...versions].reverse().sort(compareVersions)).toEqual(versions)
    expect(versions.at(-1)).toBe(latest)
  })

  it("compares numbers, not texts", () => {
    expect(compareVersions("0.10.0", "0.9.0")).toBeGreaterThan(0)
    expect(compareVersions("10.0.0", "9.9.9")).toBeGreaterThan(0)
    expect(compareVersions("1.0.10", "1.0.9")).toBeGreaterThan(0)
  })

  it.each([
    ["1", "1.0.0"],
    ["1.0", "1.0.0"],
    ["0.4", "0.4.0"],
    ["", "0.1.0"],
    ["01.00", "1.0.0"],
  ])("counts missing parts as 0: %j equals %s", (a, b) => {
    expect(compareVersions(a, b)).toBe(0)
  })

  it("is an order", () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0)
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0)
      }),
    )
  })

  it.each([
    "0.",
    "..",
    ".",
    "1.2.3.4",
    "1.2.3.4.5",
    "1..0",
    ".1",
    "a",
    "1.0.0-rc1",
    "v1.0.0",
    " 1.0.0",
    "1.0.0\n",
    "-1.0.0",
    "+1.0.0",
    "1,0",
    "0x1",
    "1e3",
    "1.99999999999999999999",
  ])("refuses %j with code 6, on either side", (malformed) => {
    const expected = expect.objectContaining({
      code: 6,
      message: `cannot decode cniVersion: ${JSON.stringify(malformed)} is not a version`,
    })
    expect(() => compareVersions(malformed, "1.0.0")).toThrow(expected)
    expect(() => compareVersions("1.0.0", malformed)).toThrow(expected)
  })
})

describe("atLeast", () => {
  it.each([
    ["0.4.0", "0.4.0", true],
    ["0.3.1", "0.4.0", false],
    ["", "0.1.0", true],
    ["", "0.2.0", false],
    ["1.1.0", "0.4.0", true],
    ["2.0.0", "1.1.0", true],
  ] as const)("%j is at least %s: %s", (asked, least, expected) => {
    expect(atLeast(asked, least)).toBe(expected)
  })
})

describe("matchVersion", () => {
  it("finds each supported version", () => {
    for (const each of versions) expect(matchVersion(each, versions)).toBe(each)
  })

  it("takes a config without version for 0.1.0", () => {
    expect(matchVersion("", versions)).toBe("0.1.0")
  })

  it("refuses a config without version where 0.1.0 is not supported", () => {
    expect(() => matchVersion("", ["0.4.0", "1.0.0"])).toThrow(
      expect.objectContaining({
        code: 1,
        message: "incompatible CNI versions",
        details: 'config is "0.1.0", plugin supports ["0.4.0" "1.0.0"]',
      }),
    )
  })

  it.each(["1.0", "1", "01.0.0", "1.0.0 ", "1.2.0", "0.3.2", "9.9.9", "latest", "1.0.0.0", "..", "toString"])(
    "refuses %j: only the exact spelling matches",
    (asked) => {
      expect(() => matchVersion(asked, versions)).toThrow(
        expect.objectContaining({
          code: 1,
          message: "incompatible CNI versions",
          details: `config is "${asked}", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]`,
        }),
      )
    },
  )
})
