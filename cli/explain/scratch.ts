import { NetworkStack } from "../../lib/net/stack.ts"
import { makeDirectories } from "../../lib/sys/file.ts"
import { host } from "../../lib/sys/host.ts"
import { leaveMounts, leaveNetwork, MS_BIND, makeEmpty, mount, openNetwork, SCRATCH } from "../unshared.ts"
import type { StackCopy } from "./stack-copy.ts"
import { writeStack } from "./stack-write.ts"

/** The path of the pod's network namespace in the rehearsal. */
export const POD = `${SCRATCH}/netns/POD`

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
  leaveMounts()
  mount("tmpfs", SCRATCH, "tmpfs", 0)
  makeDirectories(`${SCRATCH}/netns`, 0o755)
  hideServices()
  const beyond = `${SCRATCH}/netns/beyond`
  for (const path of [beyond, POD]) openNetwork(path)
  leaveNetwork()
  const stack = NetworkStack.host()
  const podStack = NetworkStack.pod(POD)
  using beyondStack = NetworkStack.pod(beyond)
  const ends = pod && { stack: podStack, links: pod.stack.links }
  const lacks = writeStack(node, { stack, beyond: beyondStack, letter: "n", pod: ends })
  if (pod) lacks.push(...writeStack(pod.stack, { stack: podStack, beyond: beyondStack, letter: "p" }))
  return { pod: POD, host: stack, podStack, lacks }
}

function hideServices(): void {
  const nothing = `${SCRATCH}/nothing`
  makeEmpty(nothing)
  for (const path of SERVICES) host.mount(nothing, path, "", MS_BIND) // most nodes lack them
}
