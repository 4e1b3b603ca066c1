import { expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { noDns } from "../../lib/cni/result.ts"
import { versions } from "../../lib/cni/version.ts"
import { readTapConfig } from "./config.ts"

function read(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "tap", ...config })
  return readTapConfig(matchConfig(readConfig(new TextEncoder().encode(text)), versions))
}

const plain = { multiQueue: false, owner: undefined, group: undefined, bridge: "", mtu: 0, ipamType: "", dns: noDns }

test("every key is read", () => {
  expect(read({})).toEqual(plain)
  const keys = { multiQueue: true, owner: 0, group: 4_294_967_294, bridge: "br0", mtu: 1400 }
  expect(read({ ...keys, ipam: { type: "x" }, selinuxContext: "" })).toEqual({ ...plain, ...keys, ipamType: "x" })
})

test.each([
  [{ owner: 4_294_967_295 }, "owner: 4294967295 is not between"],
  [{ group: -1 }, "group: -1 is not between"],
  [{ owner: "root" }, "owner: expected"],
  [{ multiQueue: 1 }, "multiQueue: expected"],
  [{ selinuxContext: "a:b:c:s0" }, "unsupported field: selinuxContext: a:b:c:s0"],
])("%j is refused", (config, msg) => {
  expect(() => read(config)).toThrow(msg)
})
