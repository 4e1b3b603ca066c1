import { attributeSet, type Body, be32, be64, nested, printed, signedBe32, text } from "../attribute.ts"
import type { Conversation, Request } from "../conversation.ts"
import { KernelError } from "../kernel-error.ts"
import { type Message, NLM_F_CREATE } from "../message.ts"
import { commentIn, dataOf, noteIn, userData } from "./comment.ts"
import { familyIn, HEADER, type NetfilterFamily, nfnetlinkHeader, SUBSYSTEM, typeOf, writeHeader } from "./nfnetlink.ts"

/** NFT_MSG_* */
export const MSG = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  GETCHAIN: 4,
  DELCHAIN: 5,
  NEWRULE: 6,
  GETRULE: 7,
  DELRULE: 8,
  NEWSET: 9,
  NEWSETELEM: 12,
  GETSETELEM: 13,
  DELSETELEM: 14,
  NEWGEN: 15,
  GETGEN: 16,
} as const

/** NFTA_TABLE_* */
const table = attributeSet({
  name: [1, text, "NFTA_TABLE_NAME"],
  flags: [2, be32, "NFTA_TABLE_FLAGS"],
  comment: [6, userData, "NFTA_TABLE_USERDATA"],
})

/** NFTA_HOOK_* */
const hook = attributeSet({
  number: [1, printed(be32, (number) => hooks[number] ?? number), "NFTA_HOOK_HOOKNUM"],
  priority: [2, signedBe32, "NFTA_HOOK_PRIORITY"],
})

/** NFTA_CHAIN_* */
const chain = attributeSet({
  table: [1, text, "NFTA_CHAIN_TABLE"],
  handle: [2, be64, "NFTA_CHAIN_HANDLE"],
  name: [3, text, "NFTA_CHAIN_NAME"],
  hook: [4, nested(hook), "NFTA_CHAIN_HOOK"],
  policy: [5, printed(be32, (policy) => policies[policy] ?? policy), "NFTA_CHAIN_POLICY"],
  type: [7, text, "NFTA_CHAIN_TYPE"],
  comment: [12, userData, "NFTA_CHAIN_USERDATA"],
})

/** An NFT_MSG_NEWTABLE and its like. */
export const tableBody: Body = { header: nfnetlinkHeader, attributes: table }

/** An NFT_MSG_NEWCHAIN and its like. */
export const chainBody: Body = { header: nfnetlinkHeader, attributes: chain }

/** NF_INET_*, and the same numbers for a bridge. */
const hooks = ["prerouting", "input", "forward", "output", "postrouting", "ingress"] as const

const policies = ["drop", "accept"] as const

/** NFT_NAME_MAXLEN less the final NUL: what the name of a table or chain may have. */
export const MAX_NAME_BYTES = 255

/** A table, known by family and name. The comment is given to one that has to be made. */
export interface Table {
  readonly family: NetfilterFamily
  readonly name: string
  readonly comment?: string
}

/** A chain, known by table and name; the rest is for one that has to be made. */
export interface Chain {
  readonly table: Table
  readonly name: string
  readonly comment?: string
  /** A text beside the comment that only these plugins read. Kernels before 5.10 drop it. */
  readonly note?: string
  /** The bytes that name it in messages about its rules, of a chain that is the same in all calls: see placed(). */
  readonly place?: Uint8Array
  /** The hook at which the kernel calls a base chain; absent: the chain is reached by jump and goto. */
  readonly base?: BaseChain | undefined
}

/** Priorities order the chains at one hook, the least first. */
export interface BaseChain {
  readonly type: "filter" | "nat"
  readonly hook: (typeof hooks)[number]
  readonly priority: number
  /** If it is left out, a new chain accepts, and one that is there keeps its own. */
  readonly policy?: (typeof policies)[number]
}

/** Returns `table inet cni_plugins_masquerade`, for messages. */
export function formatTable({ family, name }: Table): string {
  return `table ${family} ${name}`
}

/** Returns `chain masq_checks of table inet cni_plugins_masquerade`, for messages. */
export function formatChain(chain: Pick<Chain, "table" | "name">): string {
  return `chain ${chain.name} of ${formatTable(chain.table)}`
}

/** Returns the change that makes the table unless it exists, for transact(). */
export function ensureTable({ family, name, comment }: Table): Request {
  return {
    asked: `make ${formatTable({ family, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.NEWTABLE),
    write: (writer) => table.write(writeHeader(writer, family), { name, flags: 0, comment: dataOf(comment) }),
  }
}

/**
 * Returns the change that makes the chain unless it exists, for transact(): EEXIST if it exists with another hook. If it exists, the process
 * ends some 10 ms later, as if something had been removed: the kernel takes it for an update, and the last close of a netlink socket waits
 * until nobody reads what was there before.
 */
export function ensureChain({ table: { family, name: inTable }, name, comment, note, base }: Chain): Request {
  return {
    asked: `make ${formatChain({ table: { family, name: inTable }, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.NEWCHAIN),
    flags: NLM_F_CREATE,
    write: (writer) =>
      chain.write(writeHeader(writer, family), {
        table: inTable,
        name,
        hook: base && { number: hooks.indexOf(base.hook), priority: base.priority },
        policy: base?.policy && policies.indexOf(base.policy),
        type: base?.type,
        comment: dataOf(comment, note),
      }),
  }
}

/** Returns the change that deletes the chain, for transact(): ENOENT if there is none, EBUSY while rules jump to it. */
export function deleteChain({ table: { family, name: inTable }, name }: Chain): Request {
  return {
    asked: `delete ${formatChain({ table: { family, name: inTable }, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.DELCHAIN),
    write: (writer) => chain.write(writeHeader(writer, family), { table: inTable, name }),
  }
}

/** A chain as the kernel has it. */
export interface FoundChain extends Chain {
  /** A number of its table's own, which chains, rules and sets share. */
  readonly handle: bigint
}

/** Returns the chain as it is in the kernel, or undefined if it or its table is missing. */
export function readChain(
  nfnetlink: Conversation,
  { table: { family, name: inTable }, name }: Pick<Chain, "table" | "name">,
): FoundChain | undefined {
  const request: Request = {
    asked: `read ${formatChain({ table: { family, name: inTable }, name })}`,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETCHAIN),
    about: { family, table: inTable, chain: name },
    write: (writer) => chain.write(writeHeader(writer, family), { table: inTable, name }),
  }
  return nfnetlink.find(request, (message) => decodeChain(message, family))
}

/**
 * Lists the table's chains. Throws KernelError ERESTART if they change too often to be read whole; transact() and retried() try again then.
 */
export function listChains(nfnetlink: Conversation, { family, name }: Table): FoundChain[] {
  const asked = `list the chains of ${formatTable({ family, name })}`
  const request: Request = {
    asked,
    type: typeOf(SUBSYSTEM.NFTABLES, MSG.GETCHAIN),
    write: (writer) => void writeHeader(writer, family),
  }
  const { values, partial } = nfnetlink.dump(request, (message) => {
    const found = decodeChain(message, family) // of all tables of the family
    return found.table.name === name ? found : undefined
  })
  if (partial) throw new KernelError("ERESTART", asked)
  return values
}

const DORMANT = 1 // NFT_TABLE_F_DORMANT

/** Lists the base chains of all IP tables that the kernel calls. */
export function listBaseChains(nfnetlink: Conversation): Chain[] {
  const ask = (what: string, message: number): Request => ({
    asked: `list ${what}`,
    type: typeOf(SUBSYSTEM.NFTABLES, message),
    write: (writer) => void writeHeader(writer, "unspec"),
  })
  const dormant = new Set(
    nfnetlink.dump(ask("tables", MSG.GETTABLE), ({ payload }) => {
      const { name, flags = 0 } = table.read(payload, HEADER)
      return flags & DORMANT ? `${payload[0]} ${name}` : undefined
    }).values,
  )
  return nfnetlink.dump(ask("chains", MSG.GETCHAIN), (message) => {
    const family = familyIn(message.payload)
    const found = family && decodeChain(message, family)
    return found?.base && !dormant.has(`${message.payload[0]} ${found.table.name}`) ? found : undefined
  }).values
}

/** Returns the chain that an NFT_MSG_NEWCHAIN describes. Throws WireError. */
export function decodeChain({ payload }: Message, family: NetfilterFamily): FoundChain {
  const values = chain.read(payload, HEADER)
  const comment = values.comment && commentIn(values.comment)
  const note = values.comment && noteIn(values.comment)
  return {
    table: { family, name: values.table ?? "" },
    name: values.name ?? "",
    handle: values.handle ?? 0n,
    ...(comment === undefined ? {} : { comment }),
    ...(note === undefined ? {} : { note }),
    base: values.hook && {
      type: values.type === "nat" ? "nat" : "filter",
      hook: hooks[values.hook.number ?? 0] ?? "prerouting",
      priority: values.hook.priority ?? 0,
      policy: policies[values.policy ?? 1] ?? "accept",
    },
  }
}
