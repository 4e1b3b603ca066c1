import type { Attachment } from "../../../lib/cni/attachment.ts"
import type { Family } from "../../../lib/ip/address.ts"
import type { PlacedRule } from "../../../lib/net/iptables.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import { iptablesChain } from "../../../lib/netlink/netfilter/xtables/tables.ts"
import { sha512Hex } from "../../../lib/sys/digest.ts"
import { tagOf } from "../hostport/rule-tag.ts"

/*
 * Table nat as the Go plugin's iptables backend lays it out: either implementation finds, checks and removes what the other made, and
 * `iptables` shows it.
 */

/** The chains that all pods share. */
export const CHAIN = {
  /** Leads packets to the chains of the containers, by port. */
  dnat: "CNI-HOSTPORT-DNAT",
  /** Marks packets that are to get the node's address as source. */
  setMark: "CNI-HOSTPORT-SETMARK",
  /** Gives it to those that are marked. */
  masquerade: "CNI-HOSTPORT-MASQ",
} as const

/** Describes a chain of table nat for ensureChain(). */
export function natChain(family: Family, name: string): Chain {
  return iptablesChain(family, "nat", name)
}

/** Returns the chain of a container in a network, which all its interfaces share. */
export function podChain(family: Family, { network, containerId }: Attachment): Chain {
  return natChain(family, `CNI-DN-${sha512Hex(network + containerId).slice(0, 21)}`)
}

/** Returns the chain by which Go plugins before 0.8 masqueraded, and the one that led there. */
export function oldMasqueradeChain(family: Family, { network, containerId }: Attachment): [Chain, from: string] {
  return [natChain(family, `CNI-SN-${sha512Hex(network + containerId).slice(0, 21)}`), "CNI-HOSTPORT-SNAT"]
}

/**
 * Returns the note of an attachment's rules, which `iptables` and the Go plugin do not see: network, interface, and a digest of the container,
 * by which the kernel's answer is searched without decoding it.
 */
export function noteOf(attachment: Attachment): string {
  return `${tagOf(attachment).note} ${sha512Hex(attachment.containerId).slice(0, 10)}`
}

/** Returns the part of the note that says something to people: network and interface. */
export function withoutDigest(note: string): string {
  return note.slice(0, note.lastIndexOf(" "))
}

/** Returns the rules that lead packets to those of the pods. */
export function waysIn(family: Family): readonly PlacedRule[] {
  const rule = { toThisHost: true, action: { jump: CHAIN.dnat } } as const
  return ["PREROUTING", "OUTPUT"].map((name) => ({ chain: natChain(family, name), rule }))
}

/** Returns the rules that mark packets with that bit, and give those the node's address as source: before others masquerade them. */
export function markRules(family: Family, bit: number): readonly PlacedRule[] {
  const mark = 2 ** bit
  return [
    {
      chain: natChain(family, CHAIN.setMark),
      rule: { comment: "CNI portfwd masquerade mark", action: { mark } },
    },
    { chain: natChain(family, CHAIN.masquerade), rule: { marked: mark, action: { masquerade: true } } },
    {
      chain: natChain(family, "POSTROUTING"),
      rule: { comment: "CNI portfwd requiring masquerade", action: { jump: CHAIN.masquerade } },
      first: true,
    },
  ]
}
