import type { Conversation } from "../netlink/conversation.ts"
import { refusedWith } from "../netlink/kernel-error.ts"
import { type Chain, formatChain, readChain } from "../netlink/netfilter/ruleset.ts"
import { Conflict } from "./conflict.ts"

/**
 * Runs `change`, which needs `chain` to be a base chain at its hook. Where that is refused because somebody else has a chain of this name
 * at another hook, throws a Conflict that says so.
 */
export function explainBase(netfilter: Conversation, chain: Chain, change: () => void): void {
  try {
    change()
  } catch (error) {
    if (!refusedWith(error, "EEXIST", "EOPNOTSUPP", "EBUSY")) throw error
    const present = readChain(netfilter, chain)
    if (!present || describeBase(present) === describeBase(chain)) throw error
    throw new Conflict(
      `${formatChain(chain)} is somebody else's: it is ${describeBase(present)}, not ${describeBase(chain)}`,
      "remove or rename it",
    )
  }
}

/** Where the kernel calls the chain, for messages. */
export function describeBase({ base }: Chain): string {
  return base ? `of type ${base.type} at hook ${base.hook} with priority ${base.priority}` : "at no hook"
}
