import { CniError } from "../../lib/cni/errors.ts"
import { type Address, families } from "../../lib/ip/address.ts"
import { formatPrefix, hostPrefix } from "../../lib/ip/prefix.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { listUplinks } from "../../lib/net/uplink.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import type { NetfilterFamily } from "../../lib/netlink/netfilter/nfnetlink.ts"
import type { FoundRule } from "../../lib/netlink/netfilter/rule.ts"
import { decodeIptablesRule } from "../../lib/netlink/netfilter/xtables/decode.ts"
import { type LinkAddress, listAddresses } from "../../lib/netlink/route/address.ts"
import { type Link, listLinks } from "../../lib/netlink/route/link.ts"
import { listNeighbours } from "../../lib/netlink/route/neighbour.ts"
import { type FoundRoute, lookupRoute, type Route } from "../../lib/netlink/route/route.ts"
import { listWholeRoutes } from "../../lib/netlink/route/whole-route.ts"
import { readText, unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"
import { readNetworkProcesses } from "../../lib/sys/live-namespaces.ts"
import { findExecutable } from "../../lib/sys/process.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { TimedOut } from "../../lib/sys/timed-out.ts"
import { grouped } from "../grouped.ts"
import { answers } from "./answering.ts"
import { type Attached, type Cache, readCache } from "./attached.ts"
import { type GoBuild, readGoBuild } from "./go-build.ts"
import { type KernelLine, readKernelLog } from "./kernel-log.ts"
import { type Lease, type LeaseDirectory, leaseDirectoryOf, readLeases } from "./leases.ts"
import { type Listener, listListeners } from "./listeners.ts"
import { mountsIn, remoteTypes } from "./mounts.ts"
import { type NetworkFile, readNetworkFiles } from "./network-files.ts"
import { type RememberedFilter, rememberedFilter } from "./remembered-filter.ts"
import { findResolver, type Resolver } from "./resolver.ts"
import { Ruleset } from "./ruleset.ts"
import { isUplink } from "./uplink.ts"

/** The directories of a node that CNI is about. */
export interface Places {
  readonly networks: string
  readonly cache: string
  /** Plugin directories, in the order in which they are searched. */
  readonly plugins: readonly string[]
  /** Directories in which programs are that call plugins. */
  readonly programs: readonly string[]
}

export const usualPlaces: Places = {
  networks: "/etc/cni/net.d",
  cache: "/var/lib/cni/results",
  plugins: ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"],
  programs: ["/usr/local/bin", "/usr/bin"],
}

const unseenNetworks: readonly NetworkFile[] = []

/** The network stack of a pod, as it is when it is first looked at. */
export interface PodView {
  readonly links: readonly Link[]
  readonly addresses: readonly LinkAddress[]
  /** Of both families and all tables but the kernel's own. */
  readonly routes: readonly Route[]
  /** To ask more; open until another pod's is asked for: hundreds of pods do not need as many descriptors. */
  readonly stack: NetworkStack
}

/**
 * A node's pod networks as they are, read once, when they are first asked for, and never changed. What cannot be seen, on a node in
 * trouble or without privileges, is empty, and said in `unseen`.
 */
export class Survey implements Disposable {
  readonly places: Places
  readonly host = NetworkStack.host()
  /** Sentences. */
  readonly unseen: string[] = []
  readonly #once = new Map<string, unknown>()
  readonly #unreadLeases = new Set<string>()
  #open: NetworkStack | undefined
  #remembered: RememberedFilter | undefined

  constructor(places: Places = usualPlaces) {
    this.places = places
    const hasProc = this.attempt(() => unlessMissing(() => fileStatus("/proc/self")) !== undefined)
    if (hasProc === false)
      this.unseen.push("there is no /proc: neither pods' namespaces nor the kernel's settings can be seen")
  }

  get networks(): readonly NetworkFile[] {
    return this.#read("networks", unseenNetworks, () => readNetworkFiles(this.#answering(this.places.networks)))
  }

  /** Says if the directory of networks can be read: otherwise it is not known which there are. */
  get knowsNetworks(): boolean {
    return this.networks !== unseenNetworks
  }

  get cache(): Cache {
    const hidden = { attached: [], unreadable: [{ path: this.places.cache, problem: "it cannot be listed" }] }
    return this.#read("cache", hidden, () => {
      const cache = readCache(this.#answering(this.places.cache))
      for (const { path, problem } of cache.unreadable) this.unseen.push(`cannot read ${path}: ${problem}`)
      return cache
    })
  }

  get attached(): readonly Attached[] {
    return this.cache.attached
  }

  /** The node's own links. */
  get links(): readonly Link[] {
    return this.#read("links", [], () => listLinks(this.host.rtnetlink).links)
  }

  /** Returns the node's own link of that index. */
  link(index: number): Link | undefined {
    return this.#read("linksByIndex", new Map<number, Link>(), () => {
      return new Map(this.links.map((link) => [link.index, link]))
    }).get(index)
  }

  get addresses(): readonly LinkAddress[] {
    return this.#read("addresses", [], () => listAddresses(this.host.rtnetlink))
  }

  /** Says if the node knows where that neighbour of its own is. */
  isNeighbour({ family, value }: Address): boolean {
    return this.#read("neighbours", new Set<string>(), () => {
      return new Set(listNeighbours(this.host.rtnetlink).map((known) => `${known.family} ${known.value}`))
    }).has(`${family} ${value}`)
  }

  /** Returns the addresses of the node's own link of that index. */
  addressesOf(index: number): readonly LinkAddress[] {
    const byIndex = this.#read("addressesByIndex", new Map<number, LinkAddress[]>(), () =>
      grouped(this.addresses, (address) => address.index),
    )
    return byIndex.get(index) ?? []
  }

  /** Returns the attachments that are interfaces of the same pod. */
  inSame(netns: string): readonly Attached[] {
    const byPod = this.#read("attachedByPod", new Map<string, Attached[]>(), () =>
      grouped(this.attached, (pod) => pod.netns),
    )
    return byPod.get(netns) ?? []
  }

  /** Of the networks that are configured, and of those that pods are still attached to. */
  get leaseDirectories(): readonly LeaseDirectory[] {
    return this.#read("leaseDirectories", [], () => {
      const lists = [...this.networks, ...this.attached].map(({ list }) => list)
      const found = lists.flatMap((list) => (list && this.attempt(() => leaseDirectoryOf(list))) ?? [])
      return [...new Map(found.map((directory) => [directory.path, directory])).values()]
    })
  }

  get leases(): readonly Lease[] {
    return this.#read("leases", [], () => this.leaseDirectories.flatMap((directory) => this.#leasesIn(directory)))
  }

  /** Says if all leases of the network can be read: otherwise it is not known which there are. */
  knowsLeases(network: string): boolean {
    return this.leases !== undefined && !this.#unreadLeases.has(network)
  }

  #leasesIn(directory: LeaseDirectory): Lease[] {
    const noted = <Value>(read: () => Value) => this.attempt(read, () => void this.#unreadLeases.add(directory.network))
    return noted(() => readLeases({ ...directory, path: this.#answering(directory.path) }, noted)) ?? []
  }

  /** Links that lead to other machines: hardware, what stands for it, and those that a default route leaves by. */
  get uplinks(): readonly Link[] {
    return this.#read("uplinks", [], () => {
      const byRoute = listUplinks(this.host.rtnetlink, families)
      return this.links.filter((link) => byRoute.has(link.index) || isUplink(link))
    })
  }

  /** The kernel's words of late; none if they cannot be read. */
  get kernelLog(): readonly KernelLine[] {
    return this.#read("kernelLog", [], readKernelLog)
  }

  /** Returns what an executable that Go has made says of itself; undefined for another one. */
  goBuild(path: string): GoBuild | undefined {
    return this.#read(`build ${path}`, undefined, () => readGoBuild(path))
  }

  /** Sockets of the node's processes. */
  get listeners(): readonly Listener[] {
    return this.#read("listeners", [], listListeners)
  }

  /** Returns the way that the node's packets to the address take; undefined if there is none. */
  routeTo(address: Address): FoundRoute | undefined {
    return this.#read(`route ${address.family} ${address.value}`, undefined, () =>
      lookupRoute(this.host.rtnetlink, address),
    )
  }

  /** The rules of the node's packet filter; undefined if they cannot be seen. */
  get ruleset(): Ruleset | undefined {
    return this.#read("ruleset", undefined, () => new Ruleset(this.#filter.as(), this.#ownersOfRules()))
  }

  /** Returns the node's stack as it concerns that container: rules of other containers are left out. */
  hostFor(containerId: string): NetworkStack {
    const { host } = this
    return Object.create(host, {
      rtnetlink: { value: host.rtnetlink },
      nfnetlink: { value: this.#filter.as(containerId) },
    })
  }

  get #filter(): RememberedFilter {
    this.#remembered ??= rememberedFilter(this.host.nfnetlink, this.attached)
    return this.#remembered
  }

  /** The Go plugins' rules of iptables say whose they are by the pod's address alone. */
  #ownersOfRules(): (rule: FoundRule, family: NetfilterFamily) => string | undefined {
    const byAddress = new Map(
      this.attached.flatMap(({ result, containerId }) =>
        result.ips.map(({ address }) => [formatPrefix(hostPrefix(address.address)), containerId] as const),
      ),
    )
    return (rule, family) => {
      const owner = this.#filter.ownerOf(rule)
      if (owner !== undefined || family === "inet") return owner
      const decoded = decodeIptablesRule(rule, family === "ip" ? 4 : 6)
      const about = decoded?.source ?? decoded?.destination
      return about && byAddress.get(formatPrefix(about))
    }
  }

  /** Returns true if nothing bears the path of the network namespace: the pod is gone. */
  isGone(netns: string): boolean {
    return this.#read(`gone ${netns}`, false, () => {
      if (this.#mayHang(netns) || unlessMissing(() => fileStatus(netns))) return false
      const isOfProcess = netns.startsWith("/proc/")
      if (isOfProcess && !unlessMissing(() => fileStatus("/proc/1")))
        // hidepid=2, or no /proc at all
        throw new SystemError("EACCES", `see if ${netns} exists`)
      return true
    })
  }

  /** Returns what is in the network namespace; undefined if it is gone, or hidden from this process. */
  pod(netns: string): PodView | undefined {
    if (netns === "" || this.isGone(netns) || this.#mayHang(netns)) return undefined
    return this.#read(`pod ${netns}`, undefined, () => this.#look(netns))
  }

  /** Returns where the pod's processes look names up; undefined if none of them says so. */
  resolver(netns: string): Resolver | undefined {
    const processes = this.#read("processes", new Map<bigint, string[]>(), () => readNetworkProcesses(4))
    const inode = this.attempt(() => unlessMissing(() => fileStatus(netns))?.inode)
    const pids = processes.get(inode ?? 0n)
    return pids && this.attempt(() => findResolver(pids))
  }

  /** Returns the path of the plugin's executable; undefined if it is in none of the directories. Throws if they cannot be looked at. */
  findPlugin(type: string): string | undefined {
    for (const directory of this.places.plugins) {
      const path = findExecutable(type, [this.#answering(directory)])
      if (path !== undefined) return path
    }
    return undefined
  }

  /** Returns the directory. Throws TimedOut if it is on a file system that does not answer. */
  #answering(directory: string): string {
    const type = this.#remoteType(directory)
    if (type !== undefined && !this.#read(`answers ${directory}`, false, () => answers(directory)))
      throw new TimedOut(
        `${directory} is on a file system of type ${type}, which does not answer: it is not looked at`,
        "",
      )
    return directory
  }

  /** Returns the type of the path's file system, if that of another program or machine. */
  #remoteType(path: string): string | undefined {
    const typeOf = this.#read("mounts", undefined, () => remoteTypes(mountsIn(readText("/proc/self/mountinfo"))))
    return typeOf?.(path)
  }

  /** Says if to look at the path may take forever. */
  #mayHang(path: string): boolean {
    const type = this.#remoteType(path)
    if (type === undefined) return false
    const sentence = `${path} is on a file system of type ${type}, which may never answer: it is not looked at`
    if (!this.unseen.includes(sentence)) this.unseen.push(sentence)
    return true
  }

  #look(netns: string): PodView {
    const { rtnetlink } = this.#openPod(netns)
    const open = () => this.#openPod(netns)
    return {
      links: listLinks(rtnetlink).links,
      addresses: listAddresses(rtnetlink),
      routes: listWholeRoutes(rtnetlink),
      get stack() {
        return open()
      },
    }
  }

  #openPod(netns: string): NetworkStack {
    if (this.#open?.namespace?.path === netns) return this.#open
    this.#open?.[Symbol.dispose]()
    this.#open = undefined // before the next is opened, which may fail
    this.#open = NetworkStack.pod(netns)
    return this.#open
  }

  /** Returns the value of `read`; undefined if that cannot be seen, which is noted, and `otherwise` is called. */
  attempt<Value>(read: () => Value, otherwise?: () => void): Value | undefined {
    try {
      return read()
    } catch (error) {
      const known = [SystemError, KernelError, TimedOut, CniError].some((kind) => error instanceof kind)
      if (!known || !(error instanceof Error)) throw error
      if (!this.unseen.includes(error.message)) this.unseen.push(error.message)
      otherwise?.()
      return undefined
    }
  }

  #read<Value>(name: string, nothing: Value, read: () => Value): Value {
    if (!this.#once.has(name)) this.#once.set(name, this.attempt(read) ?? nothing)
    return this.#once.get(name) as Value
  }

  [Symbol.dispose](): void {
    this.#open?.[Symbol.dispose]()
    this.host[Symbol.dispose]()
  }
}
