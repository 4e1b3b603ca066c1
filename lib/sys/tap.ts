import { type Descriptor, openFile } from "./file.ts"
import { host } from "./host.ts"
import { O_RDWR } from "./open-flags.ts"
import { checked } from "./system-error.ts"

// linux/if_tun.h
const IFF_TAP = 0x0002
const IFF_MULTI_QUEUE = 0x0100
const IFF_NO_PI = 0x1000
const IFF_TUN_EXCL = 0x8000

/** A tap to make: an interface whose other end is a process, such as a virtual machine's. */
export interface NewTap {
  readonly name: string
  /** Several descriptors may be attached to it. */
  readonly multiQueue: boolean
  /** The one user, and the one group, who may attach to it without CAP_NET_ADMIN. Undefined: any. */
  readonly owner?: number | undefined
  readonly group?: number | undefined
}

/** Opens the device that taps are made by, in the network namespace that this process is in. */
export function openTunDevice(): Descriptor {
  return openFile("/dev/net/tun", O_RDWR)
}

/** Makes a tap, down, in the network namespace that this process is in. Throws SystemError, EBUSY if the name is taken. */
export function createTap({ name, multiQueue, owner = -1, group = -1 }: NewTap): void {
  using device = openTunDevice()
  const flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | (multiQueue ? IFF_MULTI_QUEUE : 0)
  checked(`create tap ${name}`, host.makeTun(device.fd, name, flags, owner, group))
}
