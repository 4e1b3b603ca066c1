import { describe, expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { CniError } from "../../lib/cni/errors.ts"
import { versions } from "../../lib/cni/version.ts"
import { readBandwidthConfig } from "./config.ts"

function read(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "podnet", type: "bandwidth", ...config })
  return readBandwidthConfig(matchConfig(readConfig(new TextEncoder().encode(text)), versions).fields)
}

function refusal(config: object): string {
  try {
    read(config)
  } catch (error) {
    if (error instanceof CniError) return `${error.code} ${error.message}`
    throw error
  }
  return "not refused"
}

const INGRESS = { ingressRate: 8000, ingressBurst: 80 }
const LIMIT = { rate: 8000, burst: 80, latency: 25 }

test("nothing is limited unless somebody asks", () => {
  const nothing = { ingress: undefined, egress: undefined, egressMode: "auto" }
  expect(read({})).toEqual(nothing)
  expect(read({ runtimeConfig: {} })).toEqual(nothing)
  expect(read({ ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 })).toEqual(nothing)
})

test("each direction has its own limit", () => {
  expect(read(INGRESS)).toMatchObject({ ingress: LIMIT, egress: undefined })
  expect(read({ egressRate: 8000, egressBurst: 80 })).toMatchObject({ ingress: undefined, egress: LIMIT })
})

describe("what the runtime asks for", () => {
  test.each([
    ["containerd", { bandwidth: { IngressRate: 8000, IngressBurst: 80, EgressRate: 0, EgressBurst: 0 } }],
    ["cnitool", { bandwidth: { ingressRate: 8000, ingressBurst: 80 } }],
    ["the Go plugin's tests", { bandWidth: { ingressRate: 8000, ingressBurst: 80 } }],
  ])("is read as %s writes it", (_, runtimeConfig) => {
    expect(read({ runtimeConfig })).toMatchObject({ ingress: LIMIT, egress: undefined })
  })

  test.each(["ingressRate", "ingressBurst", "egressRate", "EgressBurst"])("is ignored if the network has %s", (key) => {
    const runtimeConfig = { bandwidth: { egressRate: 1e6, egressBurst: 1e6 } }
    expect(read({ [key]: 0, runtimeConfig })).toMatchObject({ ingress: undefined, egress: undefined })
  })
})

describe("the burst", () => {
  test.each([
    [2 ** 32 - 1, 800_000, 800_000],
    [8000, 800_000, 8000],
  ])("of %d bits is at most maxBurst", (egressBurst, maxBurst, burst) => {
    expect(read({ egressRate: 1e6, egressBurst, maxBurst }).egress).toEqual({ rate: 1e6, burst, latency: 25 })
  })

  test("may be all but 4 GiB", () => {
    expect(read({ ingressRate: 8, ingressBurst: 2 ** 35 - 16 }).ingress?.burst).toBe(2 ** 35 - 16)
    expect(refusal({ ingressRate: 8, ingressBurst: 2 ** 35 - 8 })).toContain("burst cannot be more than 4GB")
    expect(refusal({ ingressRate: 8, ingressBurst: 2 ** 35 })).toContain("burst cannot be more than 4GB")
  })
})

test("latency is in milliseconds and goes to both directions", () => {
  const config = read({ ...INGRESS, egressRate: 8000, egressBurst: 80, latency: 400 })
  expect([config.ingress?.latency, config.egress?.latency]).toEqual([400, 400])
})

test.each([
  [{ egressRate: 8 }, "7 invalid network config: egressBurst: if rate is set, burst must also be set"],
  [{ egressBurst: 8 }, "7 invalid network config: egressRate: if burst is set, rate must also be set"],
  [
    { runtimeConfig: { bandwidth: { egressRate: 8 } } },
    "7 invalid network config: runtimeConfig.bandwidth.egressBurst: if rate is set, burst must also be set",
  ],
  [{ egressRate: 7, egressBurst: 8 }, "7 invalid network config: egressRate: 7 bit/s is less than a byte per second"],
  [{ egressRate: 8, egressBurst: 7 }, "7 invalid network config: egressBurst: 7 bits are less than a byte"],
])("%j is refused", (config, message) => expect(refusal(config)).toBe(message))

test.each([
  { egressMode: "tbf" },
  { latency: 0 },
  { latency: 3_600_001 },
  { maxBurst: 7 },
  { ingressRate: -1, ingressBurst: 8 },
])("%j is out of range", (config) => expect(refusal(config)).toMatch(/^7 /))
