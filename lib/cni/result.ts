import type { Address } from "../ip/address.ts"
import type { Prefix } from "../ip/prefix.ts"

/** The result of ADD, in the form of CNI 1.1.0 whatever version the runtime speaks. */
export interface Result {
  readonly interfaces: readonly Interface[]
  readonly ips: readonly IpConfig[]
  readonly routes: readonly Route[]
  readonly dns: Dns
}

export interface Interface {
  readonly name: string
  /** Lower-case pairs with colons; empty when not known. */
  readonly mac: string
  readonly mtu?: number | undefined
  /** The network namespace's path; empty on the host. */
  readonly sandbox: string
  readonly socketPath?: string | undefined
  readonly pciID?: string | undefined
}

export interface IpConfig {
  readonly address: Prefix
  readonly gateway?: Address | undefined
  /** An index into the interfaces; absent is not 0. */
  readonly interface?: number | undefined
}

export interface Route {
  readonly dst: Prefix
  readonly gw?: Address | undefined
  readonly mtu?: number | undefined
  readonly advmss?: number | undefined
  readonly priority?: number | undefined
  /** Absent and 0 are kept apart, as for `scope`. */
  readonly table?: number | undefined
  readonly scope?: number | undefined
}

export interface Dns {
  readonly nameservers: readonly string[]
  readonly domain: string
  readonly search: readonly string[]
  readonly options: readonly string[]
}

export const noDns: Dns = { nameservers: [], domain: "", search: [], options: [] }

export const emptyResult: Result = { interfaces: [], ips: [], routes: [], dns: noDns }
