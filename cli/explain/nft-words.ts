import { type Fields, readFields } from "../../lib/cni/fields.ts"
import { text } from "../../lib/netlink/attribute.ts"
import { decodeIptablesRule } from "../../lib/netlink/netfilter/xtables/decode.ts"
import { formatIptablesRule, PROTOCOL_NAMES } from "../../lib/netlink/netfilter/xtables/rule.ts"
import { ruleWords } from "./rule-words.ts"
import { attributesOf, type Naming, Untold, type Words, within } from "./told.ts"
import { bytesIn, stepsIn } from "./told-rule.ts"

/** Returns the command that does what an NFT_MSG_* asks for. Throws Untold. */
export function nftCommand(message: Fields, naming: Naming): Words {
  const type = message.string("type")?.replace("NFT_MSG_", "") ?? ""
  const family = within(message, "header").string("family") ?? ""
  const attributes = message.fields("attributes")
  const command = attributes && COMMANDS[type]?.(attributes, family, { message, naming })
  if (!command) throw new Untold(`${message.string("type")}`)
  return command
}

interface Context {
  readonly message: Fields
  readonly naming: Naming
}

type Saying = (attributes: Fields, family: string, context: Context) => Words

const COMMANDS: Readonly<Record<string, Saying>> = {
  NEWTABLE: (table, family) => {
    const comment = commentOf(table, "NFTA_TABLE_USERDATA")
    const words = ["nft", "add", "table", family, table.string("NFTA_TABLE_NAME") ?? ""]
    return comment === "" ? words : [...words, `{ ${comment} ; }`]
  },
  NEWCHAIN: newChain,
  DELCHAIN: (chain, family) => [
    "nft",
    "delete",
    "chain",
    ...placeOf(chain, family, "NFTA_CHAIN_NAME", "NFTA_CHAIN_TABLE"),
  ],
  NEWSET: (set, family) => {
    const type = SET_TYPES[set.integer("NFTA_SET_KEY_TYPE") ?? 0]
    if (type === undefined || set.integer("NFTA_SET_FLAGS") !== 0) throw new Untold("a set of another type")
    return ["nft", "add", "set", ...placeOf(set, family, "NFTA_SET_NAME", "NFTA_SET_TABLE"), `{ type ${type} ; }`]
  },
  NEWSETELEM: (elements, family) => ["nft", "add", "element", ...elementsOf(elements, family)],
  DELSETELEM: (elements, family) =>
    elements.has("NFTA_SET_ELEM_LIST_ELEMENTS")
      ? ["nft", "delete", "element", ...elementsOf(elements, family)]
      : ["nft", "flush", "set", ...setOf(elements, family)],
  NEWRULE: newRule,
  DELRULE: deletion,
}

function placeOf(attributes: Fields, family: string, name: string, table: string): string[] {
  return [family, attributes.string(table) ?? "", attributes.string(name) ?? ""]
}

/** Returns `comment "..."`, or nothing; the note beside it is for these plugins alone. */
function commentOf(attributes: Fields, key: string): string {
  const comment = attributes.has(key) ? within(attributes, key).string("comment") : undefined
  return comment === undefined ? "" : `comment "${comment}"`
}

function newChain(chain: Fields, family: string): Words {
  const words = ["nft", "add", "chain", ...placeOf(chain, family, "NFTA_CHAIN_NAME", "NFTA_CHAIN_TABLE")]
  const hook = chain.fields("NFTA_CHAIN_HOOK")
  const policy = chain.string("NFTA_CHAIN_POLICY")
  const parts = [
    ...(hook
      ? [
          `type ${chain.string("NFTA_CHAIN_TYPE")} hook ${hook.string("NFTA_HOOK_HOOKNUM")}` +
            ` priority ${hook.integer("NFTA_HOOK_PRIORITY")}`,
        ]
      : []),
    ...(policy === undefined ? [] : [`policy ${policy}`]),
    commentOf(chain, "NFTA_CHAIN_USERDATA"),
  ].filter(Boolean)
  return parts.length === 0 ? words : [...words, `{ ${parts.map((part) => `${part} ; `).join("")}}`]
}

/** NFTNL_SET_KEY_TYPE: `nft` numbers its types, with six bits each if several are joined. */
const SET_TYPES: Readonly<Record<number, string>> = { 781: "inet_proto . inet_service", 41: "ifname" }

function setOf(elements: Fields, family: string): string[] {
  return placeOf(elements, family, "NFTA_SET_ELEM_LIST_SET", "NFTA_SET_ELEM_LIST_TABLE")
}

function elementsOf(elements: Fields, family: string): string[] {
  const list = within(elements, "NFTA_SET_ELEM_LIST_ELEMENTS").list("NFTA_LIST_ELEM", readFields) ?? []
  const keys = list.map((element) =>
    keyWords(bytesIn(within(element, "NFTA_SET_ELEM_KEY").get("NFTA_DATA_VALUE") ?? "")),
  )
  return [...setOf(elements, family), `{ ${keys.join(", ")} }`]
}

/** The lengths of keys of the two types. */
const [PORT_BYTES, NAME_BYTES] = [8, 16]

function keyWords(key: Uint8Array): string {
  if (key.length === NAME_BYTES) return `"${text.read(key, 0, key.length)}"`
  if (key.length !== PORT_BYTES) throw new Untold("an element of a set of another type")
  const [protocol = 0, , , , high = 0, low = 0] = key
  return `${PROTOCOL_NAMES[protocol] ?? protocol} . ${high * 256 + low}`
}

const RULE = ["NFTA_RULE_TABLE", "NFTA_RULE_CHAIN", "NFTA_RULE_EXPRESSIONS", "NFTA_RULE_COMPAT", "NFTA_RULE_USERDATA"]

function deletion(rule: Fields, family: string, { naming }: Context): Words {
  const place = placeOf(rule, family, "NFTA_RULE_CHAIN", "NFTA_RULE_TABLE")
  const copy = rule.get("NFTA_RULE_HANDLE")
  if (copy === undefined) return ["nft", "flush", "chain", ...place]
  const handle = naming.handle(place.slice(0, 2).join(" "), String(copy))
  if (handle === undefined) throw new Untold(`a rule of chain ${place.join(" ")} that this ADD has made goes again`)
  return ["nft", "delete", "rule", ...place, "handle", handle]
}

function newRule(_: Fields, family: string, { message }: Context): Words {
  const rule = attributesOf(message, RULE)
  const isLast = message.strings("flags").includes("APPEND")
  const [table = "", chain = ""] = [rule.string("NFTA_RULE_TABLE"), rule.string("NFTA_RULE_CHAIN")]
  const steps = stepsIn(rule)
  const isOfXtables = rule.has("NFTA_RULE_COMPAT") || steps.some(({ name }) => name === "match" || name === "target")
  if (isOfXtables) return iptablesCommand(rule, family, [table, isLast ? "-A" : "-I", chain])
  const comment = commentOf(rule, "NFTA_RULE_USERDATA")
  const words = ruleWords(steps, family)
  const verb = isLast ? "add" : "insert"
  return [
    "nft",
    verb,
    "rule",
    family,
    table,
    chain,
    ...words,
    ...(comment ? ["comment", comment.slice("comment ".length)] : []),
  ]
}

/** Returns the command of iptables-nft: `nft` itself has no words for extensions of xtables. */
function iptablesCommand(rule: Fields, family: string, [table, way, chain]: readonly [string, string, string]): Words {
  const steps = stepsIn(rule)
  const read = decodeIptablesRule({ comment: undefined, expressions: () => steps }, family === "ip6" ? 6 : 4)
  if (!read) throw new Untold("a rule of iptables")
  const program = family === "ip6" ? "ip6tables-nft" : "iptables-nft"
  return [program, "-t", table, way, chain, ...wordsOf(formatIptablesRule(read))]
}

/** Splits what iptables-save would print; quotation marks hold a word together. */
function wordsOf(line: string): string[] {
  const words = line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []
  return words.map((word) => (word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/g, "$1") : word))
}
