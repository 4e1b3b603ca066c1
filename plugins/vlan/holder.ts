import { NetworkStack } from "../../lib/net/stack.ts"
import { type Link, listLinks } from "../../lib/netlink/route/link.ts"
import { readNamespaceId } from "../../lib/netlink/route/namespace-id.ts"
import { readLiveNamespaces } from "../../lib/sys/live-namespaces.ts"
import { NetworkNamespace } from "../../lib/sys/netns.ts"
import { SystemError } from "../../lib/sys/system-error.ts"

/**
 * Returns the interface that has the VLAN of the master, with its namespace and alias; undefined if it cannot be found. Looks into every
 * network namespace that can be seen, for an error's sake.
 */
export function findHolder(source: NetworkStack, master: Link, id: number): string | undefined {
  const beside = holderIn(source, master, id, undefined)
  if (beside) return describe(beside)
  using own = new NetworkNamespace(source.namespace?.path ?? "/proc/self/ns/net")
  for (const path of namespacePaths()) {
    const there = orUndefined(() => holderAt(path, master, id, own.fd))
    if (there) return `${describe(there)} in ${path}`
  }
  return undefined
}

function namespacePaths(): string[] {
  const paths = orUndefined(() => Array.from(readLiveNamespaces().values()))
  return (paths ?? []).filter((path) => path !== undefined)
}

function holderAt(path: string, master: Link, id: number, fd: number): Link | undefined {
  using stack = NetworkStack.pod(path)
  const namespaceId = readNamespaceId(stack.rtnetlink, fd)
  return namespaceId === undefined ? undefined : holderIn(stack, master, id, namespaceId)
}

function holderIn(
  { rtnetlink }: NetworkStack,
  master: Link,
  id: number,
  namespaceId: number | undefined,
): Link | undefined {
  return listLinks(rtnetlink).links.find(
    ({ vlanId, peer, peerNamespace }) => vlanId === id && peer === master.index && peerNamespace === namespaceId,
  )
}

function describe({ name, alias }: Link): string {
  return JSON.stringify(name) + (alias && ` (${JSON.stringify(alias)})`)
}

/** Namespaces come and go meanwhile, and some may be closed to this process. */
function orUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
