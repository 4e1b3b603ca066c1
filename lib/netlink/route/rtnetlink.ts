import type { Body } from "../attribute.ts"
import type { Protocol } from "../protocol.ts"
import { filterBody } from "../tc/filter.ts"
import { qdiscBody } from "../tc/qdisc.ts"
import { addressBody } from "./address.ts"
import { settingsBody } from "./ip-settings.ts"
import { linkBody } from "./link-attributes.ts"
import { namespaceIdBody } from "./namespace-id.ts"
import { neighbourBody } from "./neighbour.ts"
import { bridgeLink } from "./port-vlan.ts"
import { routeBody } from "./route.ts"
import { AF, RTM } from "./rtm.ts"
import { policyRuleBody } from "./rule.ts"

/** An RTM_NEWLINK and its like if its family is AF_BRIDGE: some numbers mean something else there. */
const bridgePortBody: Body = {
  ...linkBody,
  attributes: { entryOf: (type) => bridgeLink.entryOf(type) ?? linkBody.attributes.entryOf(type) },
}

/** Bodies by RTM_*; the messages on one kind of object are four numbers in a row. */
const bodies: readonly (Body | undefined)[] = [
  linkBody,
  addressBody,
  routeBody,
  neighbourBody,
  policyRuleBody,
  qdiscBody,
  undefined, // classes
  filterBody,
]

/** Links, addresses, routes, neighbours, rules, qdiscs and filters. */
export const rtnetlink: Protocol = {
  name: "route",
  formatOf(type, payload) {
    const name = Object.keys(RTM).find((candidate) => RTM[candidate as keyof typeof RTM] === type)
    const body = name?.endsWith("NSID") ? namespaceIdBody : bodies[(type - RTM.NEWLINK) >> 2]
    if (!name || !body) return undefined
    return { name: `RTM_${name}`, body: body === linkBody ? linkBodyOf(type, payload[0]) : body }
  },
}

function linkBodyOf(type: number, family: number | undefined): Body {
  if (family === AF.BRIDGE) return bridgePortBody
  return type === RTM.SETLINK ? settingsBody : linkBody
}
