import { CniError, code, invalidConfig } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { type Dns, type IpConfig, noDns, type Result } from "../../lib/cni/result.ts"
import { type Address, formatAddress, sameAddress } from "../../lib/ip/address.ts"
import { readText } from "../../lib/sys/file.ts"
import { fileStatus, S_IFREG } from "../../lib/sys/file-status.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { allocate, type Candidate } from "./allocate.ts"
import type { HostLocalConfig, LeasePlace } from "./config.ts"
import { exhausted } from "./exhausted.ts"
import { leaseDirectory } from "./leases/lease-directory.ts"
import { legacyOwnerOf, type Owner, ownerOf } from "./leases/lease-holder.ts"
import { type LeaseStore, openLeases } from "./leases/lease-store.ts"
import { readResidence } from "./leases/netns-identity.ts"
import { formatSet, isGateway, type RangeSet, rangeOf } from "./range-set.ts"
import { reclaimLeases } from "./reclaim-leases.ts"
import { assignRequested } from "./requested.ts"
import { parseResolvConf } from "./resolv-conf.ts"

/** Leases one address of each range set for the attachment, or leaves the leases as they were. */
export function add(call: Call, network: HostLocalConfig): Result {
  const { environment } = call
  const requested = assignRequested(network.sets, network.requested)
  const dns = network.resolvConf === undefined ? noDns : readDns(network.resolvConf)
  const owner = ownerOf(environment)
  const residence = network.reclaim ? readResidence(environment.netns) : undefined

  using leases = openLeases(network.place)
  const reclaim = (of?: Owner) => network.reclaim && reclaimLeases(leases, call, of)
  const readHeld = () => [...leases.addressesOf(owner), ...leases.addressesOf(legacyOwnerOf(environment))]
  const before = readHeld()
  const held = before.length > 0 && reclaim(owner) ? readHeld() : before
  const given = network.sets.map((set, index) => {
    const wanted = requested[index]
    return explained(index, () => {
      if (wanted) return takeRequested(leases, set, wanted, { owner, held, reclaim })
      refuseSecond(set, held, environment.containerId, network)
      return takeNext(leases, { set, index, place: network.place }, { owner, held, reclaim })
    })
  })
  for (const [index, { address }] of given.entries()) leases.setLastReserved(index, address)
  leases.keep(owner, residence)
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

interface Holder {
  readonly owner: Owner
  readonly held: readonly Address[]
  /** Frees the leases of pods that are certainly gone, or of that one if it is; answers whether there were any. */
  readonly reclaim: (of?: Owner) => boolean
}

/** Code 102 says that it is this attachment that holds the address, as a killed ADD leaves it: who knows that may DEL and try again. */
function takeRequested(leases: LeaseStore, set: RangeSet, address: Address, holder: Holder): Candidate {
  const { owner, held, reclaim } = holder
  const text = formatAddress(address)
  const range = rangeOf(set, address)
  if (!range)
    throw new CniError(code.noAddress, `${text} not in range set ${formatSet(set)}`, "request an address in it")
  if (isGateway(range, address)) {
    throw new CniError(code.noAddress, `requested ip ${text} is subnet's gateway`, "request another address")
  }
  if (leases.take(address, owner) || (reclaim(leases.holderOf(address)) && leases.take(address, owner)))
    return { address, range }
  throw new CniError(
    held.some((lease) => sameAddress(lease, address)) ? code.conflict : code.noAddress,
    `requested IP address ${text} is not available in range set ${formatSet(set)}`,
    "it is leased to another container, or to this one: run DEL for it first",
  )
}

/** An attachment has one address of each set. The Go plugin asks this only where no address is requested. */
function refuseSecond(set: RangeSet, held: readonly Address[], containerId: string, { place }: HostLocalConfig): void {
  const address = held.find((lease) => rangeOf(set, lease))
  if (!address) return
  const text = formatAddress(address)
  throw new CniError(
    code.conflict,
    `${text} has been allocated to ${containerId}, duplicate allocation is not allowed`,
    `run DEL for this container and interface first; the lease is ${leaseDirectory(place)}/${text}`,
  )
}

interface Source {
  readonly set: RangeSet
  readonly index: number
  readonly place: LeasePlace
}

function takeNext(leases: LeaseStore, { set, index, place }: Source, { owner, reclaim }: Holder): Candidate {
  const take = () => allocate(set, leases.lastReserved(index), (address) => leases.take(address, owner))
  const next = take()
  if (next && leases.runsLow(set)) reclaim()
  const found = next ?? (reclaim() ? take() : undefined)
  if (found) return found
  throw exhausted(set, leaseDirectory(place))
}

/** Says which range set could not be served. */
function explained(index: number, attempt: () => Candidate): Candidate {
  try {
    return attempt()
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    const message = `failed to allocate for range ${index}: ${error.message}`
    throw new CniError(error.code, message, error.details, { cause: error })
  }
}

function describe({ address, range }: Candidate): IpConfig {
  return { address: { address, length: range.subnet.length }, gateway: range.gateway }
}
