import { NetworkStack } from "../../lib/net/stack.ts"
import { makeDirectories, openFile } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { O_CREAT, O_WRONLY } from "../../lib/sys/open-flags.ts"
import { checked } from "../../lib/sys/system-error.ts"
import type { StackCopy } from "./stack-copy.ts"
import { writeStack } from "./stack-write.ts"

// sched.h and sys/mount.h
const CLONE_NEWNS = 0x20000
const CLONE_NEWNET = 0x40000000
const MS_BIND = 0x1000
const MS_REC = 0x4000
const MS_PRIVATE = 0x40000

/** A directory that every node has, and no plugin looks into: scratch files lie there, seen by this process and its plugins alone. */
export const SCRATCH = "/proc/fs"

/** The path of the pod's network namespace in the rehearsal. */
export const POD = `${SCRATCH}/netns/POD`

const OWN_NETWORK = "/proc/self/ns/net"
/** The sockets by which a plugin would ask services of the node to change it. */
const SERVICES = ["/run/dbus/system_bus_socket", "/run/cni/dhcp.sock"]

/** The scratch namespaces, which vanish with this process. */
export interface Scratch {
  /** The path of the pod's network namespace. */
  readonly pod: string
  readonly host: NetworkStack
  readonly podStack: NetworkStack
  /** Says what of the node could not be copied. */
  readonly lacks: readonly string[]
}

export interface Origin {
  readonly node: StackCopy
  /** The pod that is there already, and its path. */
  readonly pod: { readonly path: string; readonly stack: StackCopy } | undefined
}

/**
 * Moves this process for good to mounts and a network namespace of its own, which looks like the node, beside one that looks like the pod:
 * what it and its plugins do from here on, the node does not see. Throws SystemError.
 */
export function enterScratch({ node, pod }: Origin): Scratch {
  leave("mount namespace", CLONE_NEWNS)
  mount("none", "/", "", MS_REC | MS_PRIVATE)
  mount("tmpfs", SCRATCH, "tmpfs", 0)
  makeDirectories(`${SCRATCH}/netns`, 0o755)
  hideServices()
  const beyond = openNetwork(`${SCRATCH}/netns/beyond`)
  const path = openNetwork(POD)
  leave("network namespace", CLONE_NEWNET)
  const stack = NetworkStack.host()
  const podStack = NetworkStack.pod(path)
  using beyondStack = NetworkStack.pod(beyond)
  const ends = pod && { stack: podStack, links: pod.stack.links }
  const lacks = writeStack(node, { stack, beyond: beyondStack, letter: "n", pod: ends })
  if (pod) lacks.push(...writeStack(pod.stack, { stack: podStack, beyond: beyondStack, letter: "p" }))
  return { pod: path, host: stack, podStack, lacks }
}

function leave(what: string, kind: number): void {
  checked(`make a ${what} of its own`, host.unshare(kind))
}

function mount(source: string, path: string, type: string, flags: number): void {
  checked(`mount ${path}`, host.mount(source, path, type, flags))
}

/** Makes a network namespace, and gives it this path; returns that. */
function openNetwork(path: string): string {
  leave("network namespace", CLONE_NEWNET)
  makeEmpty(path)
  mount(OWN_NETWORK, path, "", MS_BIND)
  return path
}

function makeEmpty(path: string): void {
  openFile(path, O_WRONLY | O_CREAT, 0o600, "create")[Symbol.dispose]()
}

function hideServices(): void {
  const nothing = `${SCRATCH}/nothing`
  makeEmpty(nothing)
  for (const path of SERVICES) host.mount(nothing, path, "", MS_BIND) // most nodes lack them
}
