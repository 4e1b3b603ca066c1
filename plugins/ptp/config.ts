import {
  type MasqueradeBackend,
  readIpamType,
  readMasquerade,
  readMtu,
  readOwnDns,
} from "../../lib/attachment/interface-keys.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import type { Dns } from "../../lib/cni/result.ts"

/** The configuration of `ptp`, with defaults and checked. */
export interface PtpConfig {
  /** Undefined: pods are not masqueraded. */
  readonly ipMasq: MasqueradeBackend | undefined
  /** 0: the kernel's choice. */
  readonly mtu: number
  readonly ipamType: string
  /** The configuration's own DNS settings, which replace those of IPAM as a whole. */
  readonly dns: Dns | undefined
}

/** Reads and checks the configuration for the commands that need all of it. */
export function readPtpConfig({ fields }: NetworkConfig): PtpConfig {
  const ipamType = readIpamType(fields)
  if (ipamType === "") throw invalidConfig("ipam.type", "missing", "ptp connects pods by their addresses alone")
  return { ipMasq: readMasquerade(fields), mtu: readMtu(fields), ipamType, dns: readOwnDns(fields) }
}
