import { expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { versions } from "../../lib/cni/version.ts"
import { readVrfConfig } from "./config.ts"

function read(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "vrf", ...config })
  return readVrfConfig(matchConfig(readConfig(new TextEncoder().encode(text)), versions))
}

test("every key is read", () => {
  expect(read({ vrfname: "blue" })).toEqual({ vrfName: "blue", table: 0 })
  expect(read({ vrfname: "blue", table: 4294967295 })).toEqual({ vrfName: "blue", table: 4294967295 })
})

test.each([
  [{}, "vrfname"],
  [{ vrfname: "" }, "vrfname"],
  [{ vrfname: 1 }, "vrfname: expected a string"],
  [{ vrfname: "v%d" }, 'vrfname: interface name contains %: "v%d"'],
  [{ vrfname: "v".repeat(16) }, "vrfname: interface name is too long"],
  [{ vrfname: "blue", table: -1 }, "table: -1 is not between"],
  [{ vrfname: "blue", table: 4294967296 }, "table: 4294967296 is not between"],
  [{ vrfname: "blue", table: 254 }, "table: table 254 is the pod's own"],
  [{ vrfname: "blue", table: 255 }, "table: table 255 is the pod's own"],
])("%j is refused", (config, msg) => {
  expect(() => read(config)).toThrow(msg)
})
