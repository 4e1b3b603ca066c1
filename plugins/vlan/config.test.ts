import { expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { versions } from "../../lib/cni/version.ts"
import { refusalOf } from "../../lib/testing/refusal.ts"
import { readVlanConfig } from "./config.ts"

function read(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "podnet", type: "vlan", ...config })
  return readVlanConfig(matchConfig(readConfig(new TextEncoder().encode(text)), versions))
}

test("every key is read", () => {
  const ipam = { type: "host-local" }
  const config = { master: "eth1", vlanId: 4094, mtu: 1400, linkInContainer: true, ipam, dns: { domain: "a.b" } }
  expect(read(config)).toMatchObject({
    master: "eth1",
    vlanId: 4094,
    mtu: 1400,
    linkInContainer: true,
    ipamType: "host-local",
    dns: { domain: "a.b" },
  })
})

test("master alone is required: the VLAN is 0 then", () => {
  const defaults = { master: "eth1", vlanId: 0, mtu: 0, linkInContainer: false, ipamType: "" }
  expect(read({ master: "eth1" })).toMatchObject(defaults)
})

test.each([
  ["no master", {}, 7, "master: is required"],
  ["an empty master", { master: "" }, 7, "master: is required"],
  ["a VLAN below 0", { master: "eth1", vlanId: -1 }, 7, "vlanId: -1 is not between 0 and 4094"],
  ["a VLAN above 4094", { master: "eth1", vlanId: 4095 }, 7, "vlanId: 4095 is not between 0 and 4094"],
  ["half a VLAN", { master: "eth1", vlanId: 1.5 }, 6, "vlanId: "],
  ["a VLAN in quotes", { master: "eth1", vlanId: "5" }, 6, "vlanId: expected"],
  ["a negative mtu", { master: "eth1", mtu: -1 }, 7, "mtu: -1 is not between"],
])("%s is refused", (_, config, code, message) => {
  expect(refusalOf(() => read(config))).toEqual([code, expect.stringContaining(message)])
})
