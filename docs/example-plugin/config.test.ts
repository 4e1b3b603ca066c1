import { expect, test } from "vitest"
import { Fields } from "../../lib/cni/fields.ts"
import type { JsonObject } from "../../lib/cni/json.ts"
import { formatPrefix } from "../../lib/ip/prefix.ts"
import { readDenyConfig } from "./config.ts"

const read = (keys: JsonObject) =>
  readDenyConfig({ name: "net", cniVersion: "1.1.0", fields: new Fields(keys), bytes: new Uint8Array() })

test("networks are read without their host bits; without the key there are none", () => {
  expect(read({ to: ["169.254.169.254/16", "fd00::1/64"] }).to.map(formatPrefix)).toEqual([
    "169.254.0.0/16",
    "fd00::/64",
  ])
  expect(read({}).to).toEqual([])
})

test.each([
  [["10.0.0.1"], "to[0]"],
  [["10.0.0.0/8", "0.0.0.0/0"], "to[1]"],
])("%j is refused, and %s named", (to, path) => {
  expect(() => read({ to })).toThrow(expect.objectContaining({ code: 7, message: expect.stringContaining(path) }))
})
