import { mkdirSync, writeFileSync } from "node:fs"
import type { LeasePlace } from "../../ipam/host-local/config.ts"
import { indexDirectory, leaseDirectory } from "../../ipam/host-local/leases/lease-directory.ts"
import { holderOf, type LeaseHolder } from "../../ipam/host-local/leases/lease-holder.ts"
import { type LeaseStore, openLeases } from "../../ipam/host-local/leases/lease-store.ts"
import type { NetnsIdentity } from "../../ipam/host-local/leases/netns-identity.ts"
import { type Address, formatAddress, parseAddress } from "../ip/address.ts"
import { scratchDirectory } from "./scratch.ts"

export const address = (text: string) => parseAddress(text) as Address
export const holder = (containerId: string) => holderOf({ containerId, ifname: "eth0" })

export interface TestNetwork extends LeasePlace {
  readonly directory: string
  readonly index: string
}

/** Makes a network without leases, in a directory that is removed when the test ends. */
export function network(): TestNetwork {
  const place = { dataDir: scratchDirectory(), network: "net" }
  return { ...place, directory: leaseDirectory(place), index: indexDirectory(place) }
}

/** Opens the leases for one action, as one call of the plugin does. */
export function inStore<Value>(place: LeasePlace, action: (store: LeaseStore) => Value): Value {
  using store = openLeases(place)
  return action(store)
}

/** Leases the addresses; returns for each if it was free. */
export function lease(place: LeasePlace, whose: LeaseHolder, texts: string[], identity?: NetnsIdentity): boolean[] {
  return inStore(place, (store) => {
    const taken = texts.map((text) => store.take(address(text), whose))
    store.keep(whose, identity)
    return taken
  })
}

/** Returns the addresses that the holder has. */
export function held(place: LeasePlace, whose: LeaseHolder): string[] {
  return inStore(place, (store) => store.addressesOf(whose).map(formatAddress).sort())
}

/** Puts a file among the leases, as somebody else would. */
export function put(place: LeasePlace, name: string, content: string): void {
  mkdirSync(leaseDirectory(place), { recursive: true })
  writeFileSync(`${leaseDirectory(place)}/${name}`, content)
}
