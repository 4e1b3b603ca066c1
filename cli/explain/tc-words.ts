import type { Fields } from "../../lib/cni/fields.ts"
import { attributesOf, type Naming, Untold, type Words, within } from "./told.ts"

/** Returns the command that does what an RTM_NEWQDISC or RTM_DELQDISC asks for. Throws Untold. */
export function qdiscCommand(message: Fields, naming: Naming): Words {
  const [header, attributes] = [within(message, "header"), message.fields("attributes")]
  const [parent, handle] = [header.string("parent") ?? "", header.string("handle") ?? ""]
  const link = naming.link(header.integer("index") ?? 0)
  const place = parent === "ingress" ? ["ingress"] : [parent]
  if (message.string("type") === "RTM_DELQDISC") return ["tc", "qdisc", "del", "dev", link, ...place]
  const verb = message.strings("flags").includes("EXCL") ? "add" : "replace"
  const kind = attributes?.string("TCA_KIND")
  if (kind === "ingress") return ["tc", "qdisc", verb, "dev", link, "handle", handle, "ingress"]
  if (kind !== "tbf" || !attributes) throw new Untold(`a qdisc of kind ${kind}`)
  return ["tc", "qdisc", verb, "dev", link, ...place, "handle", handle, "tbf", ...bucketWords(attributes, naming)]
}

const MICROSECONDS = 1e6

function bucketWords(attributes: Fields, { ticks }: Naming): string[] {
  const options = within(attributes, "TCA_OPTIONS", ["TCA_TBF_PARMS", "TCA_TBF_RATE64"])
  const parameters = within(options, "TCA_TBF_PARMS")
  const rate = Number(options.get("TCA_TBF_RATE64") ?? parameters.integer("rate"))
  const burst = bytesOf(parameters.integer("buffer") ?? 0, rate, ticks)
  return ["rate", `${rate * 8}bit`, "burst", `${burst}`, "limit", `${parameters.integer("limit")}`]
}

/** Returns the bytes that pass at that rate in so many ticks. */
function bytesOf(time: number, rate: number, ticks: number): number {
  return Math.round((time / ticks / MICROSECONDS) * rate)
}

/** Returns the command that does what an RTM_NEWTFILTER or RTM_DELTFILTER asks for. Throws Untold. */
export function filterCommand(message: Fields, naming: Naming): Words {
  const [header, attributes] = [within(message, "header"), attributesOf(message, ["TCA_KIND", "TCA_OPTIONS"])]
  const isNew = message.string("type") === "RTM_NEWTFILTER"
  const words = [
    ...["tc", "filter", isNew ? "add" : "del", "dev", naming.link(header.integer("index") ?? 0)],
    ...["parent", header.string("parent") ?? "", "protocol", header.string("protocol") ?? ""],
    ...["prio", String(header.integer("pref")), attributes.string("TCA_KIND") ?? ""],
  ]
  return isNew
    ? [...words, "match", "u32", "0", "0", ...actionWords(within(attributes, "TCA_OPTIONS", FILTER), naming)]
    : words
}

const FILTER = ["TCA_U32_CLASSID", "TCA_U32_SEL", "TCA_U32_ACT"]
/** The selector of all packets. */
const EVERYTHING = "0100010000000000000000000000000000000000000000000000000000000000"
/** TC_ACT_SHOT and TC_ACT_STOLEN. */
const [SHOT, STOLEN] = [2, 4]

function actionWords(options: Fields, naming: Naming): string[] {
  if (options.string("TCA_U32_SEL") !== EVERYTHING) throw new Untold("a filter of some packets")
  const action = within(within(options, "TCA_U32_ACT"), "#1")
  const given = within(action, "TCA_ACT_OPTIONS")
  const target = ["flowid", "1:1", "action"]
  const [redirect, police] = [given.fields("TCA_MIRRED_PARMS"), given.fields("TCA_POLICE_TBF")]
  if (redirect?.integer("verdict") === STOLEN)
    return [...target, "mirred", "egress", "redirect", "dev", naming.link(redirect.integer("to") ?? 0)]
  if (police?.integer("verdict") !== SHOT) throw new Untold("an action of a filter")
  const rate = Number(given.get("TCA_POLICE_RATE64") ?? police.integer("rate"))
  const burst = bytesOf(police.integer("burst") ?? 0, rate, naming.ticks)
  return [...target, "police", "rate", `${rate * 8}bit`, "burst", `${burst}`, "mtu", "4294967295", "drop"]
}
