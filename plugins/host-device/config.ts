import { readIpamType } from "../../lib/attachment/interface-keys.ts"
import type { IpamConfig } from "../../lib/attachment/interface-plugin.ts"
import { CniError, invalidConfig } from "../../lib/cni/errors.ts"
import type { Fields } from "../../lib/cni/fields.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import type { Dns } from "../../lib/cni/result.ts"
import { readDns } from "../../lib/cni/result-read.ts"
import { host } from "../../lib/sys/host.ts"

/** The keys that say which device it is; empty ones say nothing. The first that says something counts, in this order. */
export interface DeviceKeys {
  readonly device: string
  /** Lower-case pairs with colons. */
  readonly hwaddr: string
  readonly kernelpath: string
  readonly pciBusID: string
  /** A PCI address, which then counts for `pciBusID`, or a name on the auxiliary bus. */
  readonly deviceID: string
}

/** The configuration of `host-device`, with defaults and checked. */
export interface HostDeviceConfig extends DeviceKeys, IpamConfig {
  readonly dns: Dns
}

/** Reads and checks the configuration for the commands that need all of it. */
export function readHostDeviceConfig({ fields }: NetworkConfig): HostDeviceConfig {
  return { ...readDeviceKeys(fields), ipamType: readIpamType(fields), dns: readDns(fields) }
}

function readDeviceKeys(fields: Fields): DeviceKeys {
  const runtimeConfig = fields.fields("runtimeConfig")
  return {
    device: readName("device", fields.string("device") ?? ""),
    hwaddr: readHardwareAddress(fields.string("hwaddr") ?? ""),
    kernelpath: readKernelPath(fields.string("kernelpath") ?? ""),
    pciBusID: readBusName("pciBusID", fields.string("pciBusID") ?? ""),
    deviceID: readBusName("runtimeConfig.deviceID", runtimeConfig?.string("deviceID") ?? ""),
  }
}

/** Reads the keys for DEL and GC, to which a key that makes no sense says nothing, as do all of them then. */
export function readableDeviceKeys({ fields }: NetworkConfig): DeviceKeys {
  try {
    return readDeviceKeys(fields)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    return { device: "", hwaddr: "", kernelpath: "", pciBusID: "", deviceID: "" }
  }
}

/** Says if the configuration names a device. One that the runtime chooses for each pod (`deviceID`) is named in the pod's calls alone. */
export function namesDevice({ device, hwaddr, kernelpath, pciBusID, deviceID }: DeviceKeys): boolean {
  return [device, hwaddr, kernelpath, pciBusID, deviceID].some((key) => key !== "")
}

/** Numbers of hexadecimal digits: of Ethernet, of EUI-64, and of InfiniBand. */
const ADDRESS_DIGITS = [12, 16, 40]

function readHardwareAddress(text: string): string {
  const digits = text.toLowerCase().replace(/[:.-]/g, "")
  const pairs = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2})*$/i.test(text)
  const quads = /^[0-9a-f]{4}(\.[0-9a-f]{4})+$/i.test(text)
  if (text !== "" && !((pairs || quads) && ADDRESS_DIGITS.includes(digits.length))) {
    throw invalidConfig("hwaddr", `${JSON.stringify(text)} is not a MAC address`)
  }
  return digits.match(/../g)?.join(":") ?? ""
}

function readKernelPath(path: string): string {
  if (path === "" || (path.startsWith("/sys/devices/") && !/\0|\/\.\.(\/|$)/.test(path))) return path
  throw invalidConfig(
    "kernelpath",
    `kernel device path ${JSON.stringify(path)} must begin with /sys/devices/, without ..`,
  )
}

/** Bounds a link's further names, which may be longer than its name. */
const MAX_NAME_BYTES = 127

function readName(key: string, name: string): string {
  if (host.encode(name).length <= MAX_NAME_BYTES && !name.includes("\0")) return name
  throw invalidConfig(key, "no interface has such a name")
}

function readBusName(key: string, name: string): string {
  if (!/[/\0]|^\.\.?$/.test(name)) return name
  throw invalidConfig(key, `${JSON.stringify(name)} is no device's name, such as 0000:03:00.1`)
}
