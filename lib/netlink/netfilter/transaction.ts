import { failedWith } from "../../sys/system-error.ts"
import { attributeSet, type Body, be32 } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { KernelError, refusedWith } from "../kernel-error.ts"
import { BATCH, HEADER, nfnetlinkHeader, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"
import { MSG } from "./ruleset.ts"

/** NFNL_BATCH_* and NFTA_GEN_*, which are alike. */
const generationOf = attributeSet({ id: [1, be32, "NFTA_GEN_ID"] })

/** An NFNL_MSG_BATCH_BEGIN, an NFT_MSG_NEWGEN and their like. */
export const generationBody: Body = { header: nfnetlinkHeader, attributes: generationOf }

/** Every conflict means that somebody else's transaction went through, so this many are a ruleset that never rests. */
const ATTEMPTS = 200

/**
 * Changes the ruleset in one transaction: all that `plan` returns, or nothing. What `plan` reads is what the changes apply to: if
 * anybody changes the ruleset meanwhile, nothing is done and `plan` is asked again. Nothing is sent if it wants no change. Changes
 * that come from a generator are made one by one as they are written: so tens of thousands take little room.
 * Throws the KernelError of the first change that is refused; ERESTART if others never cease to change the ruleset.
 */
export function transact(nfnetlink: Conversation, plan: () => Iterable<Request>): void {
  retried(() => {
    const generation = readGeneration(nfnetlink)
    nfnetlink.batch(begin(generation), plan(), end)
  })
}

/** Returns what `attempt` does, which is made anew if others change the ruleset meanwhile, as listRules() and transactions notice. */
export function retried<Value>(attempt: () => Value): Value {
  for (let count = 1; ; count++) {
    try {
      return attempt()
    } catch (error) {
      if (!refusedWith(error, "ERESTART") || count === ATTEMPTS) throw error
    }
  }
}

/** Does what transact() does, if all changes are removals: of a kernel without nf_tables there is nothing to remove. */
export function cleanUp(nfnetlink: Conversation, plan: () => Iterable<Request>): void {
  try {
    transact(nfnetlink, plan)
  } catch (error) {
    if (!(error instanceof NoNftables)) throw error
  }
}

/** Says that the kernel has no nf_tables, and no module to load. */
class NoNftables extends KernelError {}

/** Returns the number of the ruleset's present state. Throws KernelError if the kernel has no nf_tables. */
export function readGeneration(nfnetlink: Conversation): number {
  const asked = "use nftables"
  try {
    const { payload } = nfnetlink.get({
      asked,
      type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETGEN),
      write: (writer) => void writeHeader(writer, "unspec"),
    })
    return generationOf.read(payload.subarray(HEADER)).id ?? 0
  } catch (error) {
    // EINVAL: no such part of netfilter; EPROTONOSUPPORT, from the socket: no netfilter over netlink at all.
    const missing = refusedWith(error, "EINVAL") || failedWith(error, "EPROTONOSUPPORT")
    throw missing ? new NoNftables("EOPNOTSUPP", asked) : error
  }
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
