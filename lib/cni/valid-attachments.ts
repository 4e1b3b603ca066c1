import type { Attachment } from "./attachment.ts"
import { invalidConfig } from "./errors.ts"
import { type Fields, readFields } from "./fields.ts"
import { isObject, type Json, oddNumber } from "./json.ts"
import type { Call } from "./plugin.ts"

/** The key of CNI 1.1, and the one that its first text named. libcni sends both, other runtimes one of them. */
const KEYS = ["cni.dev/valid-attachments", "cni.dev/attachments"] as const

/**
 * Returns the attachments that must survive a GC call: those of either list. Undefined if there is none: the runtime does not say then
 * which pods live. An entry without container id or interface name is refused, for to overlook it would take a live container's network
 * away.
 */
export function readValidAttachments(fields: Fields, network: string): readonly Attachment[] | undefined {
  const read = (item: Json, path: string) => readAttachment(item, path, network)
  const [first, second] = KEYS.map((key) => fields.list(key, read)).filter((list) => list !== undefined)
  if (!first || !second) return first
  return first.concat(second.filter((attachment, at) => !isSame(attachment, first[at])))
}

function isSame({ containerId, ifname }: Attachment, other: Attachment | undefined): boolean {
  return containerId === other?.containerId && ifname === other.ifname
}

/** Reads one of what may be tens of thousands: those with the usual keys are read at once. */
function readAttachment(item: Json, path: string, network: string): Attachment {
  if (isObject(item)) {
    const { containerID, ifname } = item
    if (isName(containerID) && isName(ifname)) return { network, containerId: containerID, ifname }
  }
  const attachment = readFields(item, path)
  return { network, containerId: named(attachment, "containerID"), ifname: named(attachment, "ifname") }
}

function isName(value: Json | undefined): value is string {
  return typeof value === "string" && value !== "" && oddNumber(value) === undefined
}

function named(fields: Fields, key: string): string {
  const name = fields.string(key)
  if (!name) throw invalidConfig(fields.pathOf(key), "missing")
  return name
}

/** The attachments that a GC call leaves alone, and why the rest goes. */
export interface Survivors {
  /** Undefined if the runtime named none: then nothing goes but what is certainly gone. */
  readonly attachments: readonly Attachment[] | undefined
  /** For the log. */
  readonly reason: string
}

/** Returns the attachments of the call's network that must survive it; says on stderr if the call names none. */
export function readSurvivors({ config, log }: Call): Survivors {
  const attachments = readValidAttachments(config.fields, config.name)
  if (attachments) return { attachments, reason: "not among the runtime's valid attachments" }
  log.noticed(`GC came without ${KEYS[0]}: only what is certainly gone is removed`)
  return { attachments, reason: "its pod is gone" }
}
