/** Prints what lib/sys sees of a second network namespace, from inside and outside, at each stage of its life. */

import "../sys/node/register.ts"
import { readlinkSync } from "node:fs"
import { fileStatus } from "../sys/file-status.ts"
import { readLiveNamespaces, stampOfMounted } from "../sys/live-namespaces.ts"
import { isOwnNamespace, NetworkNamespace } from "../sys/netns.ts"
import { SecondNetwork } from "./second-network.ts"

const here = () => readlinkSync("/proc/thread-self/ns/net")

/** Where the process was before, in, and after `inside`, and after an `inside` that threw. */
function places(path: string) {
  using namespace = new NetworkNamespace(path)
  const before = here()
  const inside = namespace.inside(here)
  const after = here()
  let thrown = ""
  try {
    namespace.inside(() => {
      throw new Error(here())
    })
  } catch (error) {
    thrown = error instanceof Error ? error.message : ""
  }
  return { before, inside, after, thrown, atLast: here() }
}

async function main(): Promise<void> {
  await using other = new SecondNetwork()
  const status = fileStatus(other.path)
  const seen = () => {
    const { mounted, unmounted } = readLiveNamespaces()
    return { mounted: mounted.has(stampOfMounted(status)), unmounted: unmounted.has(`${status.inode}`) }
  }
  const first = { places: places(other.path), isOwn: isOwnNamespace(other.path), mounted: seen() }
  await other.inhabit()
  const inhabited = seen()
  other.unmount()
  const unmounted = seen()
  await other.desert()
  console.log(JSON.stringify({ inode: `${status.inode}`, ...first, inhabited, unmounted, gone: seen() }))
}

await main()
