import type { Conversation } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { type Chain, formatChain, readChain } from "../netlink/netfilter/ruleset.ts"
import { Conflict } from "./conflict.ts"

/**
 * Runs `change`, which needs each of `chains` at its hook, or at none. If that is refused because somebody else has a chain of such a name
 * elsewhere, throws a Conflict that says so.
 */
export function explainingForeignChains(nfnetlink: Conversation, chains: readonly Chain[], change: () => void): void {
  try {
    change()
  } catch (error) {
    if (!refusedWith(error, "EEXIST", "EOPNOTSUPP", "EBUSY")) throw error
    for (const chain of chains) refuseForeign(nfnetlink, chain)
    throw error
  }
}

function refuseForeign(nfnetlink: Conversation, chain: Chain): void {
  const present = readChain(nfnetlink, chain)
  if (!present || describeBase(present) === describeBase(chain)) return
  throw new Conflict(
    `${formatChain(chain)} is somebody else's: it is ${describeBase(present)}, and has to be ${describeBase(chain)}`,
    "remove or rename it",
  )
}

/** Returns, for messages, the hook at which the kernel calls the chain. */
export function describeBase({ base }: Chain): string {
  return base ? `of type ${base.type} at hook ${base.hook} with priority ${base.priority}` : "at no hook"
}
