import { CniError } from "../../lib/cni/errors.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { type LinkAddress, listAddresses } from "../../lib/netlink/route/address.ts"
import { type Link, listLinks } from "../../lib/netlink/route/link.ts"
import { unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus } from "../../lib/sys/file-status.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { TimedOut } from "../../lib/sys/timed-out.ts"
import { type Attached, type Cache, readCache } from "./attached.ts"
import { type Lease, type LeaseDirectory, leaseDirectoryOf, readLeases } from "./leases.ts"
import { type NetworkFile, readNetworkFiles } from "./network-files.ts"

/** The directories of a node that CNI is about. */
export interface Places {
  readonly networks: string
  readonly cache: string
  /** Plugin directories, in the order in which they are searched. */
  readonly plugins: readonly string[]
}

export const usualPlaces: Places = {
  networks: "/etc/cni/net.d",
  cache: "/var/lib/cni/results",
  plugins: ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"],
}

/** The network stack of a pod, and what is in it. */
export interface PodView {
  readonly stack: NetworkStack
  readonly links: readonly Link[]
  readonly addresses: readonly LinkAddress[]
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
  readonly #pods = new Map<string, PodView | undefined>()
  readonly #once = new Map<string, unknown>()

  constructor(places: Places = usualPlaces) {
    this.places = places
  }

  get networks(): readonly NetworkFile[] {
    return this.#read("networks", [], () => readNetworkFiles(this.places.networks))
  }

  get cache(): Cache {
    return this.#read("cache", { attached: [], unreadable: [] }, () => {
      const cache = readCache(this.places.cache)
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

  get addresses(): readonly LinkAddress[] {
    return this.#read("addresses", [], () => listAddresses(this.host.rtnetlink))
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
    return this.#read("leases", [], () =>
      this.leaseDirectories.flatMap((directory) => this.attempt(() => readLeases(directory)) ?? []),
    )
  }

  /** Returns true if nothing bears the path of the network namespace: the pod is gone. */
  isGone(netns: string): boolean {
    return this.attempt(() => unlessMissing(() => fileStatus(netns)) === undefined) ?? false
  }

  /** Returns what is in the network namespace; undefined if it is gone, or hidden from this process. */
  pod(netns: string): PodView | undefined {
    if (netns === "" || this.isGone(netns)) return undefined
    if (!this.#pods.has(netns))
      this.#pods.set(
        netns,
        this.attempt(() => openPod(netns)),
      )
    return this.#pods.get(netns)
  }

  /** Returns the value of `read`; undefined if that cannot be seen, which is noted. */
  attempt<Value>(read: () => Value): Value | undefined {
    try {
      return read()
    } catch (error) {
      const known = [SystemError, KernelError, TimedOut, CniError].some((kind) => error instanceof kind)
      if (!known || !(error instanceof Error)) throw error
      if (!this.unseen.includes(error.message)) this.unseen.push(error.message)
      return undefined
    }
  }

  #read<Value>(name: string, nothing: Value, read: () => Value): Value {
    if (!this.#once.has(name)) this.#once.set(name, this.attempt(read) ?? nothing)
    return this.#once.get(name) as Value
  }

  [Symbol.dispose](): void {
    for (const pod of this.#pods.values()) pod?.stack[Symbol.dispose]()
    this.host[Symbol.dispose]()
  }
}

function openPod(netns: string): PodView {
  const stack = NetworkStack.pod(netns)
  try {
    return { stack, links: listLinks(stack.rtnetlink).links, addresses: listAddresses(stack.rtnetlink) }
  } catch (error) {
    stack[Symbol.dispose]()
    throw error
  }
}
