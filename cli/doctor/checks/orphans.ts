import { attachmentAlias, attachmentInAlias } from "../../../lib/attachment/alias.ts"
import { keyIn, ruleKey } from "../../../lib/attachment/rule-comment.ts"
import type { Attachment } from "../../../lib/cni/attachment.ts"
import { families } from "../../../lib/ip/address.ts"
import type { FoundRule } from "../../../lib/netlink/netfilter/rule.ts"
import { type Chain, formatChain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { decodeIptablesRule } from "../../../lib/netlink/netfilter/xtables/decode.ts"
import type { Link } from "../../../lib/netlink/route/link.ts"
import { ifbNames } from "../../../plugins/bandwidth/ifb.ts"
import { CHAIN as FIREWALL } from "../../../plugins/firewall/chains.ts"
import { filterChain } from "../../../plugins/firewall/iptables/rules.ts"
import { pods as firewallPods } from "../../../plugins/firewall/nftables/rules.ts"
import { layoutOf } from "../../../plugins/portmap/hostport/layout.ts"
import { attachmentIn, commentOf } from "../../../plugins/portmap/hostport/rule-tag.ts"
import { CHAIN as HOSTPORT, natChain } from "../../../plugins/portmap/iptables/chains.ts"
import { containerIn } from "../../../plugins/portmap/iptables/pod-rules.ts"
import { beingAdded } from "../../survey/leases.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

const CAUSE = "a container was removed without a DEL, or another runtime keeps its memory elsewhere"

/** Finds links, ifbs and rules of attachments that nobody remembers. */
export const checkOrphans: Check = function* (survey: Survey, subject): Generator<Finding> {
  if (subject || survey.cache.unreadable.length > 0) return // theirs may be what is found
  const known = [...survey.attached, ...beingAdded(survey.leases)]
  yield* links(survey, known)
  yield* ifbs(survey, known)
  yield* rules(survey, known)
}

function* links(survey: Survey, attachments: readonly Attachment[]): Generator<Finding> {
  const known = new Set(attachments.map(attachmentAlias))
  for (const { name, alias, kind } of survey.links) {
    const attachment = attachmentInAlias(alias)
    if (!attachment || known.has(alias)) continue
    yield {
      kind: "orphan",
      about: name,
      problem: `this ${kind} is of an attachment that no runtime here remembers`,
      evidence: [`ip link show ${name}: alias ${alias}`],
      cause: CAUSE,
      mend: `cni-ts gc ${attachment.network} --yes`,
    }
  }
}

/** The Go plugin's ifbs bear no alias: their names are computed from the attachment. */
function* ifbs({ links: all }: Survey, attachments: readonly Attachment[]): Generator<Finding> {
  const known = new Set(attachments.flatMap(ifbNames))
  const isGo = ({ kind, name, alias }: Link) => kind === "ifb" && alias === "" && /^bwp[0-9a-f]{12}$/.test(name)
  for (const { name } of all.filter((link) => isGo(link) && !known.has(link.name))) {
    yield {
      kind: "orphan",
      about: name,
      problem: "this ifb of the bandwidth plugin is of no attachment that a runtime here remembers",
      evidence: [`ip link show type ifb: ${name}`],
      cause: CAUSE,
      mend: `ip link delete ${name}`,
    }
  }
}

/** An attachment's rule says whose it is. */
interface Owned {
  /** The texts that only the rules of this attachment, or container, have. */
  readonly owner: string
  /** The texts that other rules of the same attachment have instead. */
  readonly key?: string | undefined
  /** The container, if it is spelt out. */
  readonly containerId: string | undefined
  readonly network: string | undefined
}

interface Place {
  readonly chain: Pick<Chain, "table" | "name">
  readonly read: (rule: FoundRule) => Owned | undefined
}

const masquerading: Place["chain"] = {
  table: { family: "inet", name: "cni_plugins_masquerade" },
  name: "masq_checks",
}

function byWords({ comment = "" }: FoundRule): Owned {
  const [, network, containerId] = /, net: (.*), if: .*, id: (.*)$/.exec(comment) ?? []
  return { owner: keyIn(comment), containerId, network }
}

const places: readonly Place[] = [
  ...[masquerading, firewallPods].map((chain) => ({ chain, read: byWords })),
  ...families.flatMap((family): Place[] => {
    const { hostports, hostIpHostports, masquerading: portmapMasquerading } = layoutOf(family)
    const byTag = (rule: FoundRule): Owned | undefined => {
      const { comment } = rule
      const attachment = attachmentIn(rule)
      const key = attachment && ruleKey(attachment)
      return comment === undefined
        ? undefined
        : { owner: comment, containerId: comment, network: attachment?.network, key }
    }
    const byComment = (rule: FoundRule): Owned | undefined => {
      const comment = decodeIptablesRule(rule, family)?.comment
      const containerId = containerIn(comment)
      return containerId === undefined
        ? undefined
        : { owner: containerId, containerId, network: /name: "(.*)" id:/.exec(comment ?? "")?.[1] }
    }
    return [
      ...[hostports, hostIpHostports, portmapMasquerading].map((chain) => ({ chain, read: byTag })),
      { chain: natChain(family, HOSTPORT.dnat), read: byComment },
      {
        chain: filterChain(family, FIREWALL.pods),
        read: ({ note }) =>
          note === undefined ? undefined : { owner: note, containerId: undefined, network: undefined },
      },
    ]
  }),
]

/** Yields one finding for each owner of rules that is not known, nor has a link, which is said already. */
function* rules(survey: Survey, attachments: readonly Attachment[]): Generator<Finding> {
  const { ruleset } = survey
  const byLinks = survey.links.flatMap(({ alias }) => attachmentInAlias(alias) ?? [])
  const known = new Set([...attachments, ...byLinks].flatMap(ownersOf))
  const found = new Map<string, { readonly owned: Owned; readonly places: Set<string> }>()
  const containers = new Map<string, string>()
  for (const { chain, read } of ruleset ? places : []) {
    for (const rule of survey.attempt(() => ruleset?.rulesOf(chain)) ?? []) {
      const owned = read(rule)
      if (!owned || known.has(owned.owner)) continue
      const key = owned.containerId ?? containers.get(owned.owner) ?? owned.owner
      for (const text of [owned.owner, owned.key ?? ""]) if (owned.containerId) containers.set(text, owned.containerId)
      const entry = found.get(key) ?? { owned, places: new Set() }
      entry.places.add(formatChain(chain))
      found.set(key, entry)
    }
  }
  for (const [key, { owned, places: where }] of found) yield orphanRules(key, owned, [...where])
}

function ownersOf(attachment: Attachment): string[] {
  return [attachment.containerId, commentOf(attachment.containerId), ruleKey(attachment)]
}

function orphanRules(key: string, { network }: Owned, where: readonly string[]): Finding {
  return {
    kind: "orphan",
    about: key,
    problem: "there are rules of a container that no runtime here remembers",
    evidence: where.map((chain) => `nft list ruleset: ${key} in ${chain}`),
    cause: CAUSE,
    mend:
      network === undefined
        ? "cni-ts gc NETWORK --yes, of each network with this plugin"
        : `cni-ts gc ${network} --yes`,
  }
}
