import { attributeSet, be32 } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { refusedWith } from "../kernel-error.ts"
import { BATCH, HEADER, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"
import { MSG } from "./ruleset.ts"

/** NFNL_BATCH_* and NFTA_GEN_*, which are alike. */
const generationOf = attributeSet({ id: [1, be32] })

/** Every conflict means that somebody else's transaction went through, so this many are a ruleset that never rests. */
const ATTEMPTS = 200

/**
 * Changes the ruleset in one transaction: all that `plan` returns, or nothing. What `plan` reads is what the changes apply to: if
 * anybody changed the ruleset in between, nothing is done and `plan` is asked again. Nothing is sent where it wants no change.
 * Throws the KernelError of the first change that is refused; ERESTART where others never cease to change the ruleset.
 */
export function transact(netfilter: Conversation, plan: () => readonly Request[]): void {
  for (let attempt = 1; ; attempt++) {
    const generation = readGeneration(netfilter)
    const changes = plan()
    if (changes.length === 0) {
      if (readGeneration(netfilter) === generation || attempt === ATTEMPTS) return
      continue
    }
    try {
      netfilter.performTogether(begin(generation), changes, end)
      return
    } catch (error) {
      if (!refusedWith(error, "ERESTART") || attempt === ATTEMPTS) throw error
    }
  }
}

/** The number of the ruleset's present state. Throws KernelError where the kernel has no nf_tables. */
export function readGeneration(netfilter: Conversation): number {
  const { payload } = netfilter.ask({
    asked: "read the generation of the nftables ruleset",
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETGEN),
    write: (writer) => void writeHeader(writer, "unspec"),
  })
  return generationOf.read(payload.subarray(HEADER)).id ?? 0
}

function begin(generation: number): Request {
  return {
    asked: "change the nftables ruleset",
    type: BATCH.BEGIN,
    write: (writer) => generationOf.write(writeHeader(writer, "unspec", SUBSYSTEM.NFTABLES), { id: generation }),
  }
}

const end: Request = {
  asked: "change the nftables ruleset",
  type: BATCH.END,
  write: (writer) => void writeHeader(writer, "unspec", SUBSYSTEM.NFTABLES),
}
