/** Prints for each stage of the end of a network namespace why its lease is reclaimed, if it is. */

import "../sys/node/register.ts"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { holderOf } from "../../ipam/host-local/leases/lease-holder.ts"
import { openLeases } from "../../ipam/host-local/leases/lease-store.ts"
import { readNetnsIdentity } from "../../ipam/host-local/leases/netns-identity.ts"
import { SecondNetwork } from "./second-network.ts"

async function main(): Promise<void> {
  const place = { dataDir: mkdtempSync(join(tmpdir(), "cni-ts-")), network: "net" }
  await using pod = new SecondNetwork()
  await pod.inhabit()
  lease()
  const mounted = reasons()
  pod.unmount()
  const inhabited = reasons()
  await pod.desert()
  const deserted = reasons()
  console.log(JSON.stringify({ mounted, inhabited, deserted, again: reasons() }))
  rmSync(place.dataDir, { recursive: true })

  function lease(): void {
    using store = openLeases(place)
    const holder = holderOf({ containerId: "a", ifname: "eth0" })
    store.take({ family: 4, value: 0x0a010203n }, holder)
    store.keep(holder, readNetnsIdentity(pod.path))
  }

  function reasons(): string[] {
    using store = openLeases(place)
    return store.reclaim().map(({ reason }) => reason)
  }
}

await main()
