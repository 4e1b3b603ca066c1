import { localMac } from "../../lib/ip/mac.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { KernelError } from "../../lib/netlink/kernel-error.ts"
import { changeLink, readLink } from "../../lib/netlink/route/link.ts"
import { createVeth } from "../../lib/netlink/route/new-link.ts"
import { randomBytes } from "../../lib/sys/digest.ts"
import type { RecordedCall } from "../record/recorded-call.ts"
import { configOf } from "./config.ts"

const MTU = 1500

/** Gives the scratch machine the links that the recorded node must have had, for pods' interfaces to be made on: each a wire to nowhere. */
export function makeUplinks(calls: readonly RecordedCall[]): void {
  const configs = calls.map(configOf).filter(({ linkInContainer }) => linkInContainer !== true)
  const wanted = new Set(configs.map(({ master }) => master).filter((name) => typeof name === "string" && name !== ""))
  const made = new Set(configs.map(({ bridge }) => bridge))
  using stack = NetworkStack.host()
  for (const [at, name] of [...wanted].entries())
    if (!made.has(name)) tryUplink(stack, String(name), `cni-ts-wire${at}`)
}

/** Makes an uplink unless no link can have that name, or one has it already: the plugin will see. */
function tryUplink(stack: NetworkStack, name: string, beyond: string): void {
  try {
    makeUplink(stack, name, beyond)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
  }
}

function makeUplink({ rtnetlink }: NetworkStack, name: string, beyond: string): void {
  const end = (own: string) => ({ name: own, mac: localMac(randomBytes(6)), mtu: MTU })
  createVeth(rtnetlink, { ...end(name), peer: end(beyond) })
  for (const each of [name, beyond]) {
    const link = readLink(rtnetlink, each)
    if (link) changeLink(rtnetlink, link.index, each, { up: true })
  }
}
