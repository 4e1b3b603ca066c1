import { CniError, code, invalidConfig } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { type Dns, type IpConfig, noDns, type Result } from "../../lib/cni/result.ts"
import { type Address, formatAddress, sameAddress } from "../../lib/ip/address.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { readText } from "../../lib/sys/file.ts"
import { fileStatus, S_IFREG } from "../../lib/sys/file-status.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { allocate, type Candidate } from "./allocate.ts"
import type { HostLocalConfig, LeasePlace } from "./config.ts"
import { exhausted } from "./exhausted.ts"
import { leaseDirectory } from "./leases/lease-directory.ts"
import { holderOf, type LeaseHolder, legacyHolderOf } from "./leases/lease-holder.ts"
import { type LeaseStore, openLeases } from "./leases/lease-store.ts"
import { existsElsewhere, type NetnsIdentity, readNetnsIdentity } from "./leases/netns-identity.ts"
import { formatSet, isGateway, type RangeSet, rangeOf } from "./range-set.ts"
import { reclaimLeases } from "./reclaim-leases.ts"
import { assignRequested } from "./requested.ts"
import { parseResolvConf } from "./resolv-conf.ts"

/** Leases one address of each range set to the attachment. If that fails, the leases are as they were. */
export function add(call: Call, network: HostLocalConfig): Result {
  const { environment } = call
  const requested = assignRequested(network.sets, network.requested)
  const dns = network.resolvConf === undefined ? noDns : readDns(network.resolvConf)
  const holder = holderOf(environment)
  const identity = network.reclaim ? readNetnsIdentity(environment.netns) : undefined

  using leases = openLeases(network.place)
  const reclaim = (of?: LeaseHolder) => network.reclaim && reclaimLeases(leases, call, of)
  const readHeld = () => leases.addressesOf(legacyHolderOf(environment)).concat(leases.addressesOf(holder))
  const before = readHeld()
  const held = before.length > 0 && reclaim(holder) ? readHeld() : before
  if (identity && held.length > 0) refuseElsewhere(leases, holder, identity)

  const { sets, place } = network
  const requester: Requester = { containerId: environment.containerId, holder, held, reclaim }
  const given = sets.map((set, index) => takeFrom(leases, { set, index, place }, requested[index], requester))
  for (const [index, { address }] of given.entries()) leases.setLastReserved(index, address)
  leases.keep(holder, identity)
  return { interfaces: [], ips: given.map(describe), routes: network.routes, dns }
}

function readDns(path: string): Dns {
  const MAX_BYTES = 1 << 20
  try {
    if (fileStatus(path).type === S_IFREG) return parseResolvConf(readText(path, MAX_BYTES))
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    throw new CniError(code.file, error.message, "ipam.resolvConf names this file", { cause: error })
  }
  throw invalidConfig("ipam.resolvConf", `${path} is not a regular file`)
}

/**
 * Throws Conflict if the attachment holds leases for another network namespace that exists. It is no CniError of code 102: a plugin that
 * makes interfaces would take that for the leases of a killed ADD.
 */
function refuseElsewhere(leases: LeaseStore, holder: LeaseHolder, identity: NetnsIdentity): void {
  const recorded = leases.identityOf(holder)
  if (!recorded || !existsElsewhere(recorded, identity)) return
  throw new Conflict(
    `the attachment has addresses in another network namespace, ${JSON.stringify(recorded.path)}`,
    "a pod is attached once per network and interface name: DEL the attachment first",
  )
}

/** The attachment that asks for addresses. */
interface Requester {
  readonly containerId: string
  readonly holder: LeaseHolder
  /** The addresses that it had before. */
  readonly held: readonly Address[]
  /** Frees the leases of pods that are certainly gone, all or that holder's; returns true if there were any. */
  readonly reclaim: (of?: LeaseHolder) => boolean
}

/** A range set of the network. */
interface Source {
  readonly set: RangeSet
  readonly index: number
  readonly place: LeasePlace
}

/** Leases an address of the set, the one that is wanted or the next. Says of a failure which set could not be served. */
function takeFrom(leases: LeaseStore, from: Source, wanted: Address | undefined, requester: Requester): Candidate {
  try {
    if (wanted) return takeRequested(leases, from.set, wanted, requester)
    refuseSecond(from, requester)
    return takeNext(leases, from, requester)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    const message = `failed to allocate for range ${from.index}: ${error.message}`
    throw new CniError(error.code, message, error.details, { cause: error })
  }
}

/** Leases a requested address. Throws code 102 if this attachment holds it already, as after a killed ADD: DEL frees it. */
function takeRequested(leases: LeaseStore, set: RangeSet, address: Address, requester: Requester): Candidate {
  const { holder, held, reclaim } = requester
  const text = formatAddress(address)
  const range = rangeOf(set, address)
  if (!range)
    throw new CniError(code.noAddress, `${text} not in range set ${formatSet(set)}`, "request an address in it")
  if (isGateway(range, address)) {
    throw new CniError(code.noAddress, `requested ip ${text} is subnet's gateway`, "request another address")
  }
  if (leases.take(address, holder) || (reclaim(leases.holderOf(address)) && leases.take(address, holder)))
    return { address, range }
  throw new CniError(
    held.some((lease) => sameAddress(lease, address)) ? code.conflict : code.noAddress,
    `requested IP address ${text} is not available in range set ${formatSet(set)}`,
    "it is leased to another container, or to this one: run DEL for it first",
  )
}

/** Throws if the attachment has an address of the set. The Go plugin, too, lets a requested address be a second one. */
function refuseSecond({ set, place }: Source, { held, containerId }: Requester): void {
  const address = held.find((lease) => rangeOf(set, lease))
  if (!address) return
  const text = formatAddress(address)
  throw new CniError(
    code.conflict,
    `${text} has been allocated to ${containerId}, duplicate allocation is not allowed`,
    `run DEL for this container and interface first; the lease is ${leaseDirectory(place)}/${text}`,
  )
}

function takeNext(leases: LeaseStore, { set, index, place }: Source, { holder, reclaim }: Requester): Candidate {
  const take = () => allocate(set, leases.lastReserved(index), (address) => leases.take(address, holder))
  const next = take()
  if (next && leases.runsLow(set)) reclaim()
  const found = next ?? (reclaim() ? take() : undefined)
  if (found) return found
  throw exhausted(set, leaseDirectory(place))
}

function describe({ address, range }: Candidate): IpConfig {
  return { address: { address, length: range.subnet.length }, gateway: range.gateway }
}
