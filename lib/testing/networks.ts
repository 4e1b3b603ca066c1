/** Prints what lib/sys sees of a second network namespace, from inside and outside, at each stage of its life. */

import "../sys/node/register.ts"
import { readlinkSync } from "node:fs"
import { fileStatus } from "../sys/file-status.ts"
import { readLiveNamespaces } from "../sys/live-namespaces.ts"
import { cookieOf, isOwnNamespace, NetworkNamespace } from "../sys/netns.ts"
import { SecondNetwork } from "./second-network.ts"

const here = () => readlinkSync("/proc/thread-self/ns/net")

/** Returns the namespace of this process before, in and after `inside`, and after an `inside` that threw. */
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
  const found = () => readLiveNamespaces().get(`${status.inode}`)
  const seen = () => {
    const path = found()
    if (path === undefined) return "nowhere"
    return path === other.path ? "by its mount" : "by a thread"
  }
  const cookies = [`${cookieOf("/proc/self/ns/net")}`, `${cookieOf(other.path)}`]
  const first = { places: places(other.path), isOwn: isOwnNamespace(other.path), mounted: seen() }
  await other.inhabit()
  const inhabited = seen()
  other.unmount()
  const unmounted = seen()
  cookies.push(`${cookieOf(found() ?? "")}`)
  await other.desert()
  console.log(JSON.stringify({ inode: `${status.inode}`, ...first, inhabited, unmounted, gone: seen(), cookies }))
}

await main()
