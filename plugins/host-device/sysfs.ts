import { invalidConfig } from "../../lib/cni/errors.ts"
import { listDirectory } from "../../lib/sys/file.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"
import { failedWith } from "../../lib/sys/system-error.ts"
import type { DeviceKeys } from "./config.ts"

const PCI = "/sys/bus/pci"
const AUXILIARY = "/sys/bus/auxiliary"

/** Drivers that hand a PCI device to a program, such as one of DPDK: there is no interface then. */
const USERSPACE_DRIVERS = ["vfio-pci", "uio_pci_generic", "igb_uio"]

/**
 * Returns the name of the interface that sysfs has for the device; undefined if it has none in this network namespace. Of several it is the
 * first by name. The keys name the device by where it is: `kernelpath`, `pciBusID` or `deviceID`.
 */
export function interfaceInSysfs(keys: DeviceKeys): string | undefined {
  for (const directory of directoriesOf(keys)) {
    const names = unlessNowhere(() => listDirectory(directory))
    if (names) return names.sort()[0]
  }
  return undefined
}

/** Gives the directories that may hold the device's interface. A virtio device has a directory of its own between. */
function* directoriesOf(keys: DeviceKeys): Generator<string> {
  if (keys.kernelpath !== "") return yield `${keys.kernelpath}/net`
  const address = pciAddress(keys)
  if (address === "") return yield `${AUXILIARY}/devices/${keys.deviceID}/net`
  const device = `${PCI}/devices/${address}`
  yield `${device}/net`
  const children = unlessNowhere(() => listDirectory(device)) ?? []
  for (const name of children.sort()) if (name.startsWith("virtio")) yield `${device}/${name}/net`
}

/** Says if the keys name a PCI device that a program drives: its interface cannot be moved. Throws code 7 if there is no such device. */
export function isDrivenByProgram(keys: DeviceKeys): boolean {
  assertPresent(keys)
  const address = pciAddress(keys)
  return address !== "" && USERSPACE_DRIVERS.some((driver) => exists(`${PCI}/drivers/${driver}/${address}`))
}

/** Says if sysfs has the device itself, wherever its interface is. What is on a bus is known to be there: see isDrivenByProgram(). */
export function isInSysfs({ kernelpath }: DeviceKeys): boolean {
  return kernelpath === "" || exists(kernelpath)
}

function assertPresent({ pciBusID, deviceID }: DeviceKeys): void {
  if (deviceID !== "") {
    if (exists(`${PCI}/devices/${deviceID}`) || exists(`${AUXILIARY}/devices/${deviceID}`)) return
    const problem = `DeviceID ${JSON.stringify(deviceID)} not found or unsupported: it is on neither the PCI nor the auxiliary bus`
    throw invalidConfig("runtimeConfig.deviceID", problem)
  }
  if (pciBusID === "" || exists(`${PCI}/devices/${pciBusID}`)) return
  throw invalidConfig("pciBusID", `there is no PCI device ${JSON.stringify(pciBusID)} on the node`)
}

/** Returns the PCI address that the keys name; empty if none. `deviceID` comes first. */
function pciAddress({ pciBusID, deviceID }: DeviceKeys): string {
  if (deviceID === "") return pciBusID
  return exists(`${PCI}/devices/${deviceID}`) ? deviceID : ""
}

function exists(path: string): boolean {
  return unlessNowhere(() => fileStatus(path)) !== undefined
}

/** Returns undefined if the path leads nowhere, as that of a device that was unplugged. */
function unlessNowhere<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP")) return undefined
    throw error
  }
}
