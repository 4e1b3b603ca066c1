import { expect, test } from "vitest"
import { isUplink } from "./uplink.ts"

test.each([
  [{ name: "eth0", kind: "", master: 0 }, true],
  [{ name: "bond0", kind: "bond", master: 0 }, true],
  [{ name: "eth0", kind: "", master: 7 }, false],
  [{ name: "lo", kind: "", master: 0 }, false],
  [{ name: "cni0", kind: "bridge", master: 0 }, false],
  [{ name: "vethx", kind: "veth", master: 0 }, false],
])("%j leads to other machines: %j", (link, leads) => {
  expect(isUplink(link)).toBe(leads)
})
