import { expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { CniError } from "../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { namesDevice, readableDeviceKeys, readHostDeviceConfig } from "./config.ts"

const noKeys = { device: "", hwaddr: "", kernelpath: "", pciBusID: "", deviceID: "" }

function network(config: object): NetworkConfig {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "lan", type: "host-device", ...config })
  return matchConfig(readConfig(new TextEncoder().encode(text)), versions)
}

test("every key is read", () => {
  const keys = {
    device: "ens4",
    hwaddr: "02-00-00-00-0D-01",
    kernelpath: "/sys/devices/pci0000:00/0000:00:04.0",
    pciBusID: "0000:00:04.0",
    runtimeConfig: { deviceID: "mlx5_core.sf.4" },
    ipam: { type: "static" },
    dns: { nameservers: ["10.0.0.10"] },
  }
  expect(readHostDeviceConfig(network(keys))).toEqual({
    device: "ens4",
    hwaddr: "02:00:00:00:0d:01",
    kernelpath: "/sys/devices/pci0000:00/0000:00:04.0",
    pciBusID: "0000:00:04.0",
    deviceID: "mlx5_core.sf.4",
    ipamType: "static",
    dns: { nameservers: ["10.0.0.10"], domain: "", search: [], options: [] },
  })
})

test("without keys, or with empty ones, no device is named", () => {
  for (const keys of [{}, { device: "", hwaddr: "", pciBusID: "", runtimeConfig: { deviceID: "" } }]) {
    expect(readHostDeviceConfig(network(keys))).toMatchObject(noKeys)
    expect(namesDevice(readHostDeviceConfig(network(keys)))).toBe(false)
  }
})

test.each([
  ["02:00:00:00:0d:01", "02:00:00:00:0d:01"],
  ["0200.0000.0D01", "02:00:00:00:0d:01"],
  ["02-00-00-00-00-00-0d-01", "02:00:00:00:00:00:0d:01"],
  [`80:00:${"00:".repeat(17)}01`, `80:00:${"00:".repeat(17)}01`],
])("the MAC address %s is read", (hwaddr, read) => {
  expect(readHostDeviceConfig(network({ hwaddr })).hwaddr).toBe(read)
})

test.each([
  ["hwaddr", "02:00:00:00:0d"],
  ["hwaddr", "02:00:00-00:0d:01"],
  ["hwaddr", "020000000d01"],
  ["hwaddr", "02:00:00:00:0d:0x"],
  ["device", "a\0b"],
  ["device", "x".repeat(128)],
  ["kernelpath", "sys/devices/x"],
  ["kernelpath", "/sys/class/net/x"],
  ["kernelpath", "/sys/devices/x/.."],
  ["pciBusID", ".."],
  ["pciBusID", "a/b"],
  ["pciBusID", "a\0b"],
])("the %s %j is refused with code 7, and names nothing for DEL", (key, value) => {
  const config = network({ [key]: value })
  const read = () => readHostDeviceConfig(config)
  expect(read).toThrow(CniError)
  expect(read).toThrow(expect.objectContaining({ code: 7, message: expect.stringContaining(`${key}: `) }))
  expect(readableDeviceKeys(config)).toEqual(noKeys)
})
