import { type Fields, readFields } from "../../lib/cni/fields.ts"
import { attributesOf, given, type Naming, sysctlWords, Untold, type Words, within } from "./told.ts"

const OWN = ["IFLA_IFNAME", "IFLA_ADDRESS", "IFLA_MTU", "IFLA_TXQLEN", "IFLA_MASTER", "IFLA_NET_NS_FD", "IFLA_IFALIAS"]

/** Returns the commands that do what an RTM_NEWLINK, RTM_SETLINK or RTM_DELLINK asks for. Throws Untold. */
export function linkCommands(message: Fields, naming: Naming): Words[] {
  const type = message.string("type")
  const header = within(message, "header")
  if (header.string("family") === "bridge") return vlanCommands(message, naming)
  if (type === "RTM_SETLINK") return [settingCommand(message, naming)]
  if (type === "RTM_DELLINK") return [["ip", "link", "del", "dev", keyOf(message, naming)]]
  return message.strings("flags").includes("CREATE") ? [addition(message, naming)] : changes(message, naming)
}

/** Returns the link that is meant: by index, or by name. */
function keyOf(message: Fields, naming: Naming): string {
  const index = within(message, "header").integer("index") ?? 0
  return index === 0 ? (message.fields("attributes")?.string("IFLA_IFNAME") ?? "") : naming.link(index)
}

function addition(message: Fields, naming: Naming): Words {
  const attributes = attributesOf(message, [...OWN, "IFLA_LINK", "IFLA_LINKINFO"])
  const info = within(attributes, "IFLA_LINKINFO", ["IFLA_INFO_KIND", "IFLA_INFO_DATA"])
  const [kind, on] = [info.string("IFLA_INFO_KIND") ?? "", attributes.integer("IFLA_LINK")]
  return [
    ...["ip", "link", "add", attributes.string("IFLA_IFNAME") ?? ""],
    ...(on === undefined ? [] : ["link", naming.link(on)]),
    ...ownWords(attributes, naming),
    ...(within(message, "header").strings("flags").includes("UP") ? ["up"] : []),
    ...["type", kind],
    ...dataWords(kind, info, naming),
  ]
}

/** Returns what any link has, in the words of `ip link add` and `ip link set`. */
function ownWords(attributes: Fields, naming: Naming): string[] {
  const master = attributes.integer("IFLA_MASTER")
  return [
    ...given("address", attributes.string("IFLA_ADDRESS")),
    ...given("mtu", attributes.integer("IFLA_MTU")),
    ...given("txqueuelen", attributes.integer("IFLA_TXQLEN")),
    ...(master === undefined ? [] : master === 0 ? ["nomaster"] : ["master", naming.link(master)]),
    ...(attributes.has("IFLA_NET_NS_FD") ? ["netns", naming.other] : []),
    ...given("alias", attributes.string("IFLA_IFALIAS")),
  ]
}

function dataWords(kind: string, info: Fields, naming: Naming): string[] {
  if (!info.has("IFLA_INFO_DATA")) return []
  if (kind === "veth") {
    const peer = within(within(info, "IFLA_INFO_DATA"), "VETH_INFO_PEER")
    const attributes = attributesOf(peer, OWN)
    return ["peer", ...given("name", attributes.string("IFLA_IFNAME")), ...ownWords(attributes, naming)]
  }
  const settings = SETTINGS[kind]
  if (!settings) throw new Untold(`settings of a ${kind}`)
  const data = within(info, "IFLA_INFO_DATA", [...Object.keys(settings), "IFLA_IPVLAN_FLAGS"])
  return Object.entries(settings).flatMap(([key, word]) => given(word, valueIn(data, key)))
}

/** The words of each kind's settings, by the kernel's names. */
const SETTINGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bridge: { IFLA_BR_VLAN_FILTERING: "vlan_filtering", IFLA_BR_VLAN_DEFAULT_PVID: "vlan_default_pvid" },
  macvlan: { IFLA_MACVLAN_MODE: "mode", IFLA_MACVLAN_BC_QUEUE_LEN: "bcqueuelen" },
  ipvlan: { IFLA_IPVLAN_MODE: "mode" },
  vlan: { IFLA_VLAN_ID: "id" },
  vrf: { IFLA_VRF_TABLE: "table" },
}

function valueIn(data: Fields, key: string): string | number | undefined {
  const value = data.get(key)
  return typeof value === "string" || typeof value === "number" ? value : undefined
}

function changes(message: Fields, naming: Naming): Words[] {
  const attributes = message.has("attributes")
    ? attributesOf(message, [...OWN, "IFLA_LINKINFO", "IFLA_AF_SPEC"])
    : undefined
  const [header, link] = [within(message, "header"), keyOf(message, naming)]
  const own = attributes ? [...ownWords(attributes, naming), ...newName(attributes, header)] : []
  const words = [...own, ...flagWords(header), ...addressWords(attributes)]
  const info = attributes?.fields("IFLA_LINKINFO")
  const changed = words.length > 0 ? [["ip", "link", "set", "dev", link, ...words]] : []
  return info ? [...settingsOf(info, link, naming), ...changed] : changed
}

function newName(attributes: Fields, header: Fields): string[] {
  return header.integer("index") === 0 ? [] : given("name", attributes.string("IFLA_IFNAME"))
}

function flagWords(header: Fields): string[] {
  const set = header.strings("flags")
  return header.strings("change").flatMap((flag) => {
    if (flag === "UP") return [set.includes(flag) ? "up" : "down"]
    if (flag !== "PROMISC" && flag !== "ALLMULTI") throw new Untold(`the flag ${flag} of a link`)
    return [flag === "PROMISC" ? "promisc" : "allmulticast", set.includes(flag) ? "on" : "off"]
  })
}

/** Returns how IPv6 makes the link's own addresses. */
function addressWords(attributes: Fields | undefined): string[] {
  if (!attributes?.has("IFLA_AF_SPEC")) return []
  const ipv6 = within(within(attributes, "IFLA_AF_SPEC", ["AF_INET6"]), "AF_INET6", ["IFLA_INET6_ADDR_GEN_MODE"])
  return given("addrgenmode", ipv6.string("IFLA_INET6_ADDR_GEN_MODE"))
}

function settingsOf(info: Fields, link: string, naming: Naming): Words[] {
  const kind = info.string("IFLA_INFO_KIND")
  if (kind) return [["ip", "link", "set", "dev", link, "type", kind, ...dataWords(kind, info, naming)]]
  const port = within(info, "IFLA_INFO_SLAVE_DATA", ["IFLA_BRPORT_MODE", "IFLA_BRPORT_ISOLATED"])
  const switched = (word: string, value: number | undefined) =>
    given(word, value === undefined ? undefined : value === 1 ? "on" : "off")
  return [
    [
      ...["bridge", "link", "set", "dev", link],
      ...switched("hairpin", port.integer("IFLA_BRPORT_MODE")),
      ...switched("isolated", port.integer("IFLA_BRPORT_ISOLATED")),
    ],
  ]
}

/** Returns the command that sets what is a sysctl as well. */
function settingCommand(message: Fields, naming: Naming): Words {
  const ipv4 = within(within(attributesOf(message, ["IFLA_AF_SPEC"]), "IFLA_AF_SPEC", ["AF_INET"]), "AF_INET")
  const value = within(ipv4, "IFLA_INET_CONF", ["IPV4_DEVCONF_ARP_NOTIFY"]).integer("IPV4_DEVCONF_ARP_NOTIFY")
  return sysctlWords(`net/ipv4/conf/${keyOf(message, naming)}/arp_notify`, String(value))
}

/** IFLA_BRIDGE_FLAGS: the VLAN is of the bridge itself. */
const BRIDGE_FLAGS_SELF = 2

function vlanCommands(message: Fields, naming: Naming): Words[] {
  const spec = within(attributesOf(message, ["IFLA_AF_SPEC"]), "IFLA_AF_SPEC")
  const verb = message.string("type") === "RTM_DELLINK" ? "del" : "add"
  const whose = ["dev", keyOf(message, naming)]
  const self = ((spec.integer("IFLA_BRIDGE_FLAGS") ?? 0) & BRIDGE_FLAGS_SELF) !== 0 ? ["self"] : []
  const vlans = spec.list("IFLA_BRIDGE_VLAN_INFO", (value, path) => readFields(value, path)) ?? []
  return vlans.map((vlan) => [
    ...["bridge", "vlan", verb, ...whose, "vid", String(vlan.integer("id"))],
    ...["pvid", "untagged"].filter((word) => verb === "add" && vlan.boolean(word)),
    ...self,
  ])
}
