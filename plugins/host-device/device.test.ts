import { expect, test } from "vitest"
import type { Link } from "../../lib/netlink/route/link.ts"
import { isDeviceInPod, isDeviceName, lostName } from "./device.ts"

const keys = { device: "", hwaddr: "", kernelpath: "", pciBusID: "", deviceID: "" }
const mac = Uint8Array.of(2, 0, 0, 0, 0, 1)
const link = (values: Partial<Link>) => ({ name: "eth0", alias: "ens4", up: false, mac, ...values }) as Link

test.each(["ens4", "enp3s0f1", "wan-1.5", "x".repeat(15), "é".repeat(7)])("%j may be a device's name", (alias) => {
  expect(isDeviceName(alias)).toBe(true)
})

test.each(["", ".", "..", "to the switch", "a/b", "a:b", "dev%d", "x".repeat(16), "é".repeat(8), "cni-ts012345678"])(
  "%j may not",
  (alias) => expect(isDeviceName(alias)).toBe(false),
)

test("a device that the kernel gave back has lost its name if the keys, or the name that it has, say so", () => {
  const named = { ...keys, device: "ens4" }
  expect(lostName(link({}), named)).toBe("ens4")
  expect(lostName(link({}), { ...keys, device: "ens5" })).toBeUndefined()
  expect(lostName(link({ up: true }), named)).toBeUndefined()
  expect(lostName(link({ name: "ens4" }), named)).toBeUndefined()
  expect(lostName(link({}), keys)).toBeUndefined()
  expect(lostName(link({}), keys, "eth0")).toBe("ens4")
  expect(lostName(link({ name: "dev7" }), keys)).toBe("ens4")
  expect(lostName(link({ name: "dev7a" }), keys)).toBeUndefined()
})

test("a pod's link is the device by its alias, or by its MAC address if it has an alias", () => {
  expect(isDeviceInPod(link({}), { ...keys, device: "ens4" })).toBe(true)
  expect(isDeviceInPod(link({}), { ...keys, device: "ens5" })).toBe(false)
  expect(isDeviceInPod(link({}), { ...keys, hwaddr: "02:00:00:00:00:01" })).toBe(true)
  expect(isDeviceInPod(link({ alias: "" }), { ...keys, hwaddr: "02:00:00:00:00:01" })).toBe(false)
  expect(isDeviceInPod(link({ mac: new Uint8Array() }), keys)).toBe(false)
})
