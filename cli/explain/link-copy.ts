import { encode } from "../../lib/netlink/attribute.ts"
import type { Conversation } from "../../lib/netlink/conversation.ts"
import { NLM_F_CREATE, NLM_F_EXCL } from "../../lib/netlink/message.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import {
  bridgeData,
  ipvlanData,
  ipvlanModes,
  type LinkValues,
  linkAttributes,
  macvlanData,
  macvlanModes,
  vethData,
  vlanData,
  vrfData,
} from "../../lib/netlink/route/link-attributes.ts"
import { writeHeader } from "../../lib/netlink/route/link-header.ts"
import { RTM } from "../../lib/netlink/route/rtm.ts"
import { Writer } from "../../lib/netlink/writer.ts"

/** Makes a link of the same kind, index, name, MAC address and MTU, down. Returns false if it is of a kind that is not made again. */
export function createAlike(rtnetlink: Conversation, link: Link): boolean {
  const kind = kindOf(link)
  if (!kind) return false
  create(rtnetlink, link, kind)
  return true
}

/** Makes a veth in place of the link; its other end has this name in the namespace behind the descriptor. */
export function createWire(
  rtnetlink: Conversation,
  link: Link,
  end: { readonly name: string; readonly namespace: number | undefined },
): void {
  const peer = new Writer()
  linkAttributes.write(writeHeader(peer, {}), { ...end, mtu: link.mtu })
  create(rtnetlink, link, { info: { kind: "veth", data: encode(vethData, { peer: peer.bytes }) } })
}

/** Makes the veth pair with both its ends, the other one in the namespace behind the descriptor. */
export function createPair(rtnetlink: Conversation, link: Link, end: Link, namespace: number | undefined): void {
  const peer = new Writer()
  linkAttributes.write(writeHeader(peer, { index: end.index }), { ...ownValues(end), namespace })
  create(rtnetlink, link, { info: { kind: "veth", data: encode(vethData, { peer: peer.bytes }) } })
}

function create(rtnetlink: Conversation, link: Link, values: LinkValues): void {
  rtnetlink.execute({
    asked: `create ${link.name}`,
    type: RTM.NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write: (writer) =>
      linkAttributes.write(writeHeader(writer, { index: link.index }), { ...ownValues(link), ...values }),
  })
}

function ownValues({ name, mac, mtu }: Link): LinkValues {
  const hasMac = mac.length === 6 && mac.some((byte) => byte !== 0)
  return { name, mac: hasMac ? mac : undefined, mtu }
}

/** Returns the attributes that say what kind of link it is; undefined for hardware, and for one whose other part is not here. */
function kindOf(link: Link): LinkValues | undefined {
  const { kind, vlanFiltering, defaultVlan, vrfTable } = link
  if (link.peerNamespace !== undefined) return undefined
  switch (kind) {
    case "bridge":
      return {
        info: {
          kind,
          data: vlanFiltering ? encode(bridgeData, { vlanFiltering: 1, defaultPvid: defaultVlan }) : undefined,
        },
      }
    case "vrf":
      return { info: { kind, data: encode(vrfData, { table: vrfTable }) } }
    case "dummy":
    case "ifb":
      return { info: { kind } }
    default:
      return upperKindOf(link)
  }
}

/** Returns the attributes of a link that is on another one. */
function upperKindOf({ kind, peer, macvlanMode, ipvlanMode, vlanId }: Link): LinkValues | undefined {
  if (macvlanMode) return { peer, info: { kind, data: encode(macvlanData, { mode: macvlanModes[macvlanMode] }) } }
  if (ipvlanMode) return { peer, info: { kind, data: encode(ipvlanData, { mode: ipvlanModes[ipvlanMode], flags: 0 }) } }
  if (vlanId !== undefined) return { peer, info: { kind, data: encode(vlanData, { id: vlanId }) } }
  return undefined
}
