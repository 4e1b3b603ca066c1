import type { Body } from "../attribute.ts"
import type { Format, Protocol } from "../protocol.ts"
import { CT, flowBody } from "./conntrack.ts"
import { BATCH, SUBSYSTEM } from "./nfnetlink.ts"
import { ruleBody } from "./rule.ts"
import { chainBody, MSG, tableBody } from "./ruleset.ts"
import { elementsBody, setBody } from "./set.ts"
import { generationBody } from "./transaction.ts"

/** The bodies of NFT_MSG_* by the names of what they are on. */
const bodies: Readonly<Record<string, Body>> = {
  TABLE: tableBody,
  CHAIN: chainBody,
  RULE: ruleBody,
  SET: setBody,
  SETELEM: elementsBody,
  GEN: generationBody,
}

/** nf_tables and connection tracking. */
export const nfnetlink: Protocol = {
  name: "netfilter",
  formatOf(type) {
    const message = type & 0xff
    switch (type >> 8) {
      case 0:
        return format("NFNL_MSG_BATCH_", nameIn(BATCH, message), generationBody)
      case SUBSYSTEM.CTNETLINK:
        return format("IPCTNL_MSG_CT_", nameIn(CT, message), flowBody)
      case SUBSYSTEM.NFTABLES: {
        const name = nameIn(MSG, message)
        return format("NFT_MSG_", name, bodies[name.slice(3)]) // behind NEW, GET or DEL
      }
      default:
        return undefined
    }
  },
}

function format(prefix: string, name: string, body: Body | undefined): Format | undefined {
  return name !== "" && body ? { name: prefix + name, body } : undefined
}

function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? ""
}
