import { type Errno, explain } from "../sys/errno.ts"

/** Explains a refusal, beside its number. */
interface Explanation {
  /** In its own words (extended ack). */
  readonly words?: string | undefined
  /** The attribute that it refuses, by its name in the kernel. */
  readonly attribute?: string | undefined
}

/** Reports a request that the kernel refused, and why. */
export class KernelError extends Error {
  readonly errno: Errno
  readonly asked: string

  /** `asked` completes "cannot ...". */
  constructor(errno: Errno, asked: string, { words = "", attribute = "" }: Explanation = {}) {
    super(`cannot ${asked}: ${explain(errno)}${attribute && `: ${attribute}`}${words && `, kernel says "${words}"`}`)
    this.errno = errno
    this.asked = asked
  }

  /** Returns advice for the operator. */
  get advice(): string {
    return advice[this.errno] ?? "see the node's kernel log (dmesg)"
  }
}

const LACKING = "the node's kernel lacks this feature or its module is not loaded"
const IN_USE = "something on the node has it already: remove that, or DEL the attachment that it was made for"
const GONE = "somebody removed it meanwhile: try again"
const BAD_VALUE = "the kernel takes no such value: look at the config's keys for it"
const NO_MEMORY = "free memory on the node, or raise memory.max of the control group"
const FULL = "the kernel has no room for one more: remove what is not needed any more (GC does)"

const advice: Partial<Record<Errno, string>> = {
  EPERM: "the plugin needs CAP_NET_ADMIN and CAP_SYS_ADMIN on the host",
  EACCES: "the kernel forbids it; IPv6 may be switched off there: see the sysctl net.ipv6.conf.INTERFACE.disable_ipv6",
  EOPNOTSUPP: LACKING,
  EAFNOSUPPORT: LACKING,
  EPFNOSUPPORT: LACKING,
  EPROTONOSUPPORT: LACKING,
  EEXIST: IN_USE,
  EADDRINUSE: IN_USE,
  EBUSY: "something else on the node uses it: remove that, or try again later",
  ENOENT: GONE,
  ENODEV: GONE,
  ENXIO: GONE,
  ESRCH: GONE,
  EINVAL: BAD_VALUE,
  ERANGE: BAD_VALUE,
  EADDRNOTAVAIL: BAD_VALUE,
  ENETDOWN: "the interface is down: set it up (ip link set NAME up)",
  ENETUNREACH: "the gateway is in no network of the interface: look at routes and gateways in the config",
  EHOSTUNREACH: "the gateway is in no network of the interface: look at routes and gateways in the config",
  ENOMEM: NO_MEMORY,
  ENOBUFS: NO_MEMORY,
  ENOSPC: FULL,
  EMLINK: FULL,
  EXFULL:
    "the bridge has as many ports as the kernel lets it have, 1,023: give pods another, or fewer (GC removes stale ones)",
  EMFILE: FULL,
  ENFILE: FULL,
  ERESTART: "others on the node never cease to change the nftables ruleset: find out who, and try again",
}

/** Makes something that may be there already: EEXIST is no failure. */
export function unlessThere(make: () => void): void {
  try {
    make()
  } catch (error) {
    if (!refusedWith(error, "EEXIST")) throw error
  }
}

/** Returns true if the kernel refused with one of these errors. */
export function refusedWith(error: unknown, ...errnos: Errno[]): error is KernelError {
  return error instanceof KernelError && errnos.includes(error.errno)
}
