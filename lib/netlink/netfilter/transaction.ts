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

/** Each failed attempt means that another program's transaction succeeded: so many mean that the ruleset changes all the time. */
const ATTEMPTS = 200

/**
 * Changes the ruleset in one transaction: all changes of `plan`, or none. They apply to the ruleset that `plan` read: if another program
 * changes it meanwhile, nothing is done and `plan` is called again. Without changes nothing is sent. A generator's changes are written one
 * by one as they come, so that tens of thousands take little memory. Throws the KernelError of the first change that is refused; ERESTART
 * if others change the ruleset all the time.
 */
export function transact(nfnetlink: Conversation, plan: () => Iterable<Request>): void {
  retried(() => {
    const generation = readGeneration(nfnetlink)
    nfnetlink.batch(begin(generation), plan(), end)
  })
}

/**
 * Returns the result of `attempt`, which is called again if listRules() or transact() notices that others changed the ruleset meanwhile.
 */
export function retried<Value>(attempt: () => Value): Value {
  for (let count = 1; ; count++) {
    try {
      return attempt()
    } catch (error) {
      if (!refusedWith(error, "ERESTART") || count === ATTEMPTS) throw error
    }
  }
}

/** Removes things as transact() does; does nothing if the kernel has no nf_tables. */
export function cleanUp(nfnetlink: Conversation, plan: () => Iterable<Request>): void {
  try {
    transact(nfnetlink, plan)
  } catch (error) {
    if (!(error instanceof NoNftables)) throw error
  }
}

/** Reports that the kernel has no nf_tables, and no module of it. */
class NoNftables extends KernelError {}

/** Returns the ruleset's generation, which changes with it. Throws KernelError if the kernel has no nf_tables. */
export function readGeneration(nfnetlink: Conversation): number {
  const asked = "use nftables"
  try {
    const request: Request = {
      asked,
      type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETGEN),
      write: (writer) => void writeHeader(writer, "unspec"),
    }
    return nfnetlink.get(request, ({ payload }) => generationOf.read(payload, HEADER).id ?? 0)
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
