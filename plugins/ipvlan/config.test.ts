import { expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { versions } from "../../lib/cni/version.ts"
import { refusalOf } from "../../lib/testing/refusal.ts"
import { readIpvlanConfig } from "./config.ts"

function read(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "podnet", type: "ipvlan", ...config })
  return readIpvlanConfig(matchConfig(readConfig(new TextEncoder().encode(text)), versions))
}

test("every key is read", () => {
  const ipam = { type: "host-local" }
  const config = { master: "eth1", mode: "l3s", mtu: 1400, linkInContainer: true, ipam, dns: { domain: "a.b" } }
  expect(read(config)).toMatchObject({
    master: "eth1",
    mode: "l3s",
    mtu: 1400,
    linkInContainer: true,
    ipamType: "host-local",
    dns: { domain: "a.b" },
  })
})

test("none of them is required; an empty mode is l2", () => {
  expect(read({})).toMatchObject({ master: "", mode: "l2", mtu: 0, linkInContainer: false, ipamType: "" })
  expect(read({ mode: "" }).mode).toBe("l2")
})

test.each([
  ["a mode of macvlan", { mode: "bridge" }, 7, 'mode: unknown ipvlan mode: "bridge"'],
  ["a mode in upper case", { mode: "L2" }, 7, 'mode: unknown ipvlan mode: "L2"'],
  ["a mode that every object has", { mode: "toString" }, 7, 'mode: unknown ipvlan mode: "toString"'],
  ["a mode that is a number", { mode: 3 }, 6, "mode: expected a string"],
  ["a negative mtu", { mtu: -1 }, 7, "mtu: -1 is not between"],
  ["a master that is a number", { master: 3 }, 6, "master: expected a string"],
  ["linkInContainer as a text", { linkInContainer: "true" }, 6, "linkInContainer: expected"],
])("%s is refused", (_, config, code, message) => {
  expect(refusalOf(() => read(config))).toEqual([code, expect.stringContaining(message)])
})
