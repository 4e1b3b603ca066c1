import {
  type AttributeSet,
  attributeSet,
  bytes,
  chosen,
  encode,
  type Kind,
  nested,
  printed,
  sized,
  text,
  u64,
  type Values,
} from "../attribute.ts"
import { Writer } from "../writer.ts"
import { RATE_AT, RATE_SIZE, rate64, writeRate } from "./rate.ts"

/** Deals with the packets of a filter. */
export type Action = Redirect | Police | { readonly kind: "other"; readonly name: string }

/** Redirects them to another link. */
export interface Redirect {
  readonly kind: "redirect"
  /** The link's index. */
  readonly to: number
}

/** Drops those that exceed the rate. */
export interface Police {
  readonly kind: "police"
  /** Bytes per second, below 2^64. */
  readonly rate: number
  /** The time the bucket takes to fill, in ticks of the packet scheduler; 32 bits. */
  readonly burst: number
}

/** TC_ACT_* */
const VERDICT = { SHOT: 2, STOLEN: 4 } as const

/** TCA_MIRRED_* */
const redirectOptions = attributeSet({ parameters: [2, printed(bytes, readRedirect), "TCA_MIRRED_PARMS"] })
/** TCA_EGRESS_REDIR */
const EGRESS_REDIRECT = 1

/** TCA_POLICE_* */
const policeOptions = attributeSet({
  parameters: [1, printed(bytes, readPolice), "TCA_POLICE_TBF"],
  rateTable: [2, bytes, "TCA_POLICE_RATE"],
  rate64: [8, u64, "TCA_POLICE_RATE64"],
})
/** Any packet's size may be policed: the kernel takes a missing one from the rate table, whose cells are small. */
const ANY_SIZE = 0xffffffff
/** The kernel wants a rate table of this size with every rate, and does not read it. */
const RATE_TABLE = 1024
const CELL_LOG = 3

/** TCA_ACT_* */
const single = attributeSet({
  kind: [1, text, "TCA_ACT_KIND"],
  options: [2, chosen("TCA_ACT_KIND", { mirred: redirectOptions, police: policeOptions }), "TCA_ACT_OPTIONS"],
})
type Single = typeof single extends AttributeSet<infer T> ? Values<T> : never

/** A filter's actions in their order; these plugins need no second one. */
const list = attributeSet({ first: [1, nested(single), "#1"] })

/** A filter's attribute for actions: the first of them. */
export const actions: Kind<Action> & { nested: true } = {
  write: (writer, action) => list.write(writer, { first: encodeAction(action) }),
  read: (bytes, start, end) => decodeAction(list.read(bytes, start, end).first ?? {}),
  nested: true,
  inside: () => ({ attributes: list }),
}

function encodeAction(action: Action): Single {
  if (action.kind === "redirect") return { kind: "mirred", options: encodeRedirect(action) }
  if (action.kind === "police") return { kind: "police", options: encodePolice(action) }
  return { kind: action.name }
}

function decodeAction({ kind = "", options = new Uint8Array() }: Single): Action {
  const known = kind === "mirred" ? decodeRedirect(options) : kind === "police" ? decodePolice(options) : undefined
  return known ?? { kind: "other", name: kind }
}

/** struct tc_mirred: index, capabilities, verdict, two counters, then the action and the link. */
function encodeRedirect({ to }: Redirect): Uint8Array {
  const parameters = new Writer().u32(0).u32(0).u32(VERDICT.STOLEN).u32(0).u32(0).u32(EGRESS_REDIRECT).u32(to).bytes
  return encode(redirectOptions, { parameters })
}

function decodeRedirect(options: Uint8Array): Redirect | undefined {
  const { parameters } = redirectOptions.read(options)
  if (!parameters) return undefined
  const { verdict, action, to } = readRedirect(parameters)
  return verdict === VERDICT.STOLEN && action === EGRESS_REDIRECT ? { kind: "redirect", to } : undefined
}

function readRedirect(parameters: Uint8Array) {
  const view = sized(parameters, 28)
  return { verdict: view.getInt32(8, true), action: view.getInt32(20, true), to: view.getUint32(24, true) }
}

/** struct tc_police: index, verdict, limit, burst, size of a packet, rate, peak rate (none), two counters, capabilities. */
function encodePolice({ rate, burst }: Police): Uint8Array {
  const parameters = new Writer().u32(0).u32(VERDICT.SHOT).u32(0).u32(burst).u32(ANY_SIZE)
  writeRate(writeRate(parameters, rate, CELL_LOG), 0)
    .u32(0)
    .u32(0)
    .u32(0)
  const rateTable = new Uint8Array(RATE_TABLE)
  return encode(policeOptions, { parameters: parameters.bytes, rateTable, rate64: rate64(rate) })
}

function decodePolice(options: Uint8Array): Police | undefined {
  const { parameters, rate64: exact } = policeOptions.read(options)
  if (!parameters) return undefined
  const { verdict, rate, burst } = readPolice(parameters)
  if (verdict !== VERDICT.SHOT) return undefined
  return { kind: "police", rate: exact === undefined ? rate : Number(exact), burst }
}

function readPolice(parameters: Uint8Array) {
  const view = sized(parameters, 20 + RATE_SIZE)
  return {
    verdict: view.getInt32(4, true),
    burst: view.getUint32(12, true),
    rate: view.getUint32(20 + RATE_AT, true),
  }
}
