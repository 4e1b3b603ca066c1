import { describe, expect, test } from "vitest"
import { fromHex, recorded } from "../testing/recorded.ts"
import { attributeSet, bytes, nested, repeated, text, u8, u32, WireError } from "./attribute.ts"
import { decodeMessages, encodeMessage, type Message } from "./message.ts"
import { nfnetlink } from "./netfilter/protocol.ts"
import { attributeAt, flagNames, nameOf, printBody } from "./print.ts"
import { type Protocol, printMessage, refusedAttribute } from "./protocol.ts"
import { rtnetlink } from "./route/rtnetlink.ts"

// biome-ignore lint/suspicious/noExplicitAny: the tests know the shape of what is printed
type Printed = any

function printed(protocol: Protocol, datagram: Uint8Array, sent: Uint8Array = new Uint8Array()): Printed[] {
  return decodeMessages(datagram).map((message) => printMessage(protocol, message, sent))
}

/** The requests of a command; of an nft transaction without its BEGIN and END. */
function requested(command: string): Printed {
  const protocol = command.startsWith("nft") ? nfnetlink : rtnetlink
  return printed(protocol, recorded(command).request).find(({ type }) => !type.startsWith("NFNL_MSG_BATCH"))
}

/** The kernel's answers of one type to a command. */
function answered(command: string, type: string): Printed[] {
  const protocol = command.startsWith("nft") ? nfnetlink : rtnetlink
  const { request, replies } = recorded(command)
  return replies.flatMap((reply) => printed(protocol, reply, request)).filter((message) => message.type === type)
}

describe("a recorded request is printed as the command that made it", () => {
  test("ip link add, with the peer's own message inside", () => {
    const command =
      "ip link add veth0 address 02:00:00:00:00:02 mtu 1450 master cni0 type veth peer name eth0 address 02:00:00:00:00:03 mtu 1450 netns pod"
    const header = { family: "unspec", index: 0, flags: [], change: [] }
    expect(requested(command)).toEqual({
      type: "RTM_NEWLINK",
      flags: ["REQUEST", "ACK", "EXCL", "CREATE"],
      seq: expect.any(Number),
      header,
      attributes: {
        IFLA_ADDRESS: "02:00:00:00:00:02",
        IFLA_MTU: 1450,
        IFLA_MASTER: 2,
        IFLA_IFNAME: "veth0",
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: "veth",
          IFLA_INFO_DATA: {
            VETH_INFO_PEER: {
              header,
              attributes: {
                IFLA_ADDRESS: "02:00:00:00:00:03",
                IFLA_MTU: 1450,
                IFLA_NET_NS_FD: 4,
                IFLA_IFNAME: "eth0",
              },
            },
          },
        },
      },
    })
  })

  test.each<[string, object]>([
    ["ip link set cni0 promisc on", { header: { index: 2, flags: ["PROMISC"], change: ["PROMISC"] } }],
    [
      "ip link set cni0 type bridge vlan_filtering 1",
      { attributes: { IFLA_LINKINFO: { IFLA_INFO_DATA: { IFLA_BR_VLAN_FILTERING: 1 } } } },
    ],
    [
      "bridge vlan add dev veth0 vid 100 pvid untagged master",
      {
        type: "RTM_SETLINK",
        header: { family: "bridge" },
        attributes: { IFLA_AF_SPEC: { IFLA_BRIDGE_VLAN_INFO: [{ id: 100, pvid: true, untagged: true }] } },
      },
    ],
    [
      "ip -n pod address add 10.244.1.5/24 broadcast 10.244.1.255 dev eth0",
      {
        type: "RTM_NEWADDR",
        header: { family: "inet", prefixlen: 24, scope: "global" },
        attributes: { IFA_LOCAL: "10.244.1.5", IFA_BROADCAST: "10.244.1.255", IFA_ADDRESS: "10.244.1.5" },
      },
    ],
    [
      "ip -n pod route prepend 10.244.0.0/16 via 10.244.1.1 dev eth0 metric 5 mtu 1400 advmss 1360",
      {
        type: "RTM_NEWROUTE",
        header: { family: "inet", dst_len: 16, table: "main", protocol: "boot", scope: "global", type: "unicast" },
        attributes: {
          RTA_DST: "10.244.0.0",
          RTA_GATEWAY: "10.244.1.1",
          RTA_PRIORITY: 5,
          RTA_METRICS: { RTAX_MTU: 1400, RTAX_ADVMSS: 1360 },
        },
      },
    ],
    [
      "ip -n pod -6 route add fd02::/48 nexthop via fd00:10:244:1::1 dev eth0 nexthop via fd00:10:244:1::2 dev eth0",
      {
        attributes: {
          RTA_DST: "fd02::",
          RTA_MULTIPATH: [{ gateway: "fd00:10:244:1::1" }, { gateway: "fd00:10:244:1::2" }],
        },
      },
    ],
    ["ip neighbour del 10.244.1.5 dev cni0", { type: "RTM_DELNEIGH", attributes: { NDA_DST: "10.244.1.5" } }],
    [
      "tc qdisc add dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000",
      {
        type: "RTM_NEWQDISC",
        header: { index: 3, handle: "1:", parent: "root" },
        attributes: { TCA_KIND: "tbf", TCA_OPTIONS: { TCA_TBF_PARMS: { rate: 1_000_000, limit: 125_000 } } },
      },
    ],
    [
      "tc filter add dev veth0 parent ffff: protocol all prio 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev bwp0",
      {
        type: "RTM_NEWTFILTER",
        header: { parent: "ffff:", pref: 1, protocol: "all" },
        attributes: {
          TCA_OPTIONS: {
            TCA_U32_ACT: { "#1": { TCA_ACT_KIND: "mirred", TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: { to: 4 } } } },
          },
        },
      },
    ],
    [
      "nft add chain inet cni_plugins_masquerade postrouting '{ type nat hook postrouting priority srcnat ; policy accept ; }'",
      {
        type: "NFT_MSG_NEWCHAIN",
        header: { family: "inet" },
        attributes: {
          NFTA_CHAIN_HOOK: { NFTA_HOOK_HOOKNUM: "postrouting", NFTA_HOOK_PRIORITY: 100 },
          NFTA_CHAIN_POLICY: "accept",
          NFTA_CHAIN_TYPE: "nat",
        },
      },
    ],
  ])("%s", (command, expected) => {
    expect(requested(command)).toMatchObject(expected)
  })

  test("nft add rule, each expression by what it is", () => {
    const command = `nft add rule inet cni_plugins_masquerade masq_checks ip saddr 10.244.1.2 ip daddr != 10.244.1.0/24 masquerade comment '"one"'`
    const { attributes } = requested(command)
    const steps = attributes.NFTA_RULE_EXPRESSIONS.NFTA_LIST_ELEM
    expect(steps.map((step: Printed) => step.NFTA_EXPR_NAME)).toEqual([
      ...["meta", "cmp"],
      ...["payload", "cmp"],
      ...["payload", "cmp"],
      "masq",
    ])
    expect(steps[0].NFTA_EXPR_DATA).toEqual({ NFTA_META_KEY: "nfproto", NFTA_META_DREG: 1 })
    expect(steps[5].NFTA_EXPR_DATA).toEqual({
      NFTA_CMP_SREG: 1,
      NFTA_CMP_OP: "differs",
      NFTA_CMP_DATA: { NFTA_DATA_VALUE: "0af401" },
    })
    expect(attributes.NFTA_RULE_USERDATA).toEqual({ comment: "one" })
  })
})

describe("a recorded answer is printed as the command showed it", () => {
  test("ip -d -j link show", () => {
    const links = answered("ip -d -j link show", "RTM_NEWLINK")
    expect(links.length).toBeGreaterThan(2)
    for (const [at, shown] of recorded("ip -d -j link show").output.entries()) {
      const { header, attributes } = links[at]
      expect(header.index).toBe(shown.ifindex)
      expect(header.flags).toEqual(expect.arrayContaining(shown.flags))
      expect(attributes).toMatchObject({
        IFLA_IFNAME: shown.ifname,
        IFLA_MTU: shown.mtu,
        IFLA_OPERSTATE: shown.operstate,
        IFLA_TXQLEN: shown.txqlen,
        IFLA_ADDRESS: shown.address,
        IFLA_PROMISCUITY: shown.promiscuity,
      })
      expect(attributes.IFLA_LINKINFO?.IFLA_INFO_KIND).toBe(shown.linkinfo?.info_kind)
    }
  })

  test("ip -j address show, tentative and permanent ones by name", () => {
    const addresses = answered("ip -j address show", "RTM_NEWADDR")
    const shown = recorded("ip -j address show").output.flatMap((link: Printed) =>
      link.addr_info.map((info: Printed) => ({ ...info, index: link.ifindex })),
    )
    const key = ({ family, prefixlen, scope, index }: Printed) => ({ family, prefixlen, scope, index })
    const sorted = (list: Printed[]) => list.map((item) => JSON.stringify(item)).sort()
    expect(
      sorted(addresses.map(({ header, attributes }) => ({ ...key(header), local: attributes.IFA_ADDRESS }))),
    ).toEqual(sorted(shown.map((info: Printed) => ({ ...key(info), local: info.local }))))
    expect(addresses.every(({ attributes }) => attributes.IFA_FLAGS.includes("permanent"))).toBe(true)
  })

  test("ip -n pod -j route show table all", () => {
    const command = "ip -n pod -j route show table all"
    const routes = answered(command, "RTM_NEWROUTE")
    const { output } = recorded(command)
    expect(routes).toHaveLength(output.length)
    for (const [at, { table = "main", type = "unicast", protocol, scope = "global", ...shown }] of output.entries()) {
      const { header, attributes } = routes[at]
      expect(header).toMatchObject({ type, protocol: protocol ?? "boot", scope })
      expect(String(attributes.RTA_TABLE)).toBe(table)
      expect(attributes.RTA_GATEWAY).toBe(shown.gateway)
      expect(attributes.RTA_PREFSRC).toBe(shown.prefsrc)
      const dst =
        attributes.RTA_DST && `${attributes.RTA_DST}${[32, 128].includes(header.dst_len) ? "" : `/${header.dst_len}`}`
      expect(dst ?? "default").toBe(shown.dst)
    }
  })

  test("bridge -j vlan show: in the bridge family the numbers of a link's attributes mean something else", () => {
    const ports = answered("bridge -j vlan show", "RTM_NEWLINK").filter(({ header }) => header.family === "bridge")
    expect(ports.map(({ attributes }) => [attributes.IFLA_IFNAME, attributes.IFLA_AF_SPEC])).toEqual([
      ["cni0", { IFLA_BRIDGE_VLAN_INFO: [{ id: 1, pvid: true, untagged: true }] }],
      [
        "veth0",
        {
          IFLA_BRIDGE_VLAN_INFO: [
            { id: 100, pvid: true, untagged: true },
            { id: 200, pvid: false, untagged: false },
          ],
        },
      ],
    ])
  })

  test("a refusal, by the error's name and the kernel's words", () => {
    const [error] = answered("ip -n pod route add 10.7.0.0/16 via 10.99.0.1", "NLMSG_ERROR")
    expect(error).toMatchObject({ error: "ENETUNREACH", words: "Nexthop has invalid gateway" })
    const [done] = answered("ip route show table 4000", "NLMSG_DONE")
    expect(done).toMatchObject({ error: "ENOENT", words: "ipv4: FIB table does not exist" })
    const [acknowledged] = answered("ip link set cni0 up", "NLMSG_ERROR")
    expect(acknowledged).toMatchObject({ error: 0 })
  })

  test("nft delete chain: the attribute that the kernel refuses is what nft underlines", () => {
    const command = "nft delete chain inet test nosuch"
    const [, shown = "", marks = ""] = recorded(command).errors.split("\n")
    expect(shown.slice(marks.indexOf("^"), marks.lastIndexOf("^") + 1)).toBe("nosuch")
    expect(answered(command, "NLMSG_ERROR")).toMatchObject([{ error: "ENOENT", attribute: "NFTA_CHAIN_NAME" }])
  })
})

const inner = attributeSet({ small: [1, u8, "IN_SMALL"], name: [2, text, "IN_NAME"] })
const set = attributeSet({
  large: [1, u32, "X_LARGE"],
  inside: [2, nested(inner), "X_INSIDE"],
  raw: [3, repeated(bytes), "X_RAW"],
})
const body = { header: { size: 4, print: (view: DataView) => ({ first: view.getUint8(0) }) }, attributes: set }

describe("a payload", () => {
  test("is its header and its attributes, nested ones within", () => {
    expect(printBody(body, fromHex("07000000" + "0800010005000000" + "0c000280" + "0500010009000000"))).toEqual({
      header: { first: 7 },
      attributes: { X_LARGE: 5, X_INSIDE: { IN_SMALL: 9 } },
    })
    expect(printBody(body, fromHex("07000000"))).toEqual({ header: { first: 7 } })
  })

  test("has for an attribute that no table knows its number and its bytes", () => {
    expect(printBody(body, fromHex("07000000" + "0600370001020000"))).toMatchObject({ attributes: { "#55": "0102" } })
  })

  test("has lists of what may be repeated, also of one", () => {
    expect(printBody(body, fromHex("07000000" + "0500030001000000"))).toMatchObject({ attributes: { X_RAW: ["01"] } })
    const two = "07000000" + "0500030001000000" + "0500030002000000"
    expect(printBody(body, fromHex(two))).toMatchObject({ attributes: { X_RAW: ["01", "02"] } })
  })

  test("has the bytes of an attribute that is too short for its kind, and of one whose inside does not fit", () => {
    expect(printBody(body, fromHex("07000000" + "0600010001020000"))).toMatchObject({ attributes: { X_LARGE: "0102" } })
    const odd = "07000000" + "0800028009000100"
    expect(printBody(body, fromHex(odd))).toMatchObject({ attributes: { X_INSIDE: "09000100" } })
  })

  test("that is cut short is a WireError", () => {
    expect(() => printBody(body, fromHex("0700"))).toThrow(WireError)
    expect(() => printBody(body, fromHex("07000000" + "0900010005000000"))).toThrow(WireError)
  })
})

describe("the attribute at a byte", () => {
  const payload = fromHex("07000000" + "0800010005000000" + "0c000280" + "0500010009000000")

  test.each([
    [4, "X_LARGE"],
    [8, "X_LARGE"],
    [12, "X_INSIDE"],
    [16, "IN_SMALL"],
    [20, "IN_SMALL"],
    [0, undefined],
    [24, undefined],
    [1000, undefined],
  ])("%i is %s", (offset, name) => {
    expect(attributeAt(body, payload, offset)).toBe(name)
  })

  test("of one message among several is counted from that message's header", () => {
    const message = (sequence: number, hex: string) =>
      encodeMessage({ type: 20, flags: 1, sequence }, (writer) => writer.raw(fromHex(hex)))
    const first = message(1, "0218000002000000" + "080002000a000001")
    const second = message(2, "0218000002000000" + "080004000a0000ff" + "080001000a000001")
    const datagram = Uint8Array.from([...first, ...second])
    expect(refusedAttribute(rtnetlink, datagram, 1, 24)).toBe("IFA_LOCAL")
    expect(refusedAttribute(rtnetlink, datagram, 2, 24)).toBe("IFA_BROADCAST")
    expect(refusedAttribute(rtnetlink, datagram, 2, 32)).toBe("IFA_ADDRESS")
    expect(refusedAttribute(rtnetlink, datagram, 3, 24)).toBeUndefined()
  })
})

describe("a message", () => {
  const message = (type: number): Message => ({ type, flags: 0x2, sequence: 7, payload: fromHex("0102") })

  test("of a type that no table knows is its number and its bytes", () => {
    expect(printMessage(rtnetlink, message(99), new Uint8Array())).toEqual({
      type: "#99",
      flags: ["MULTI"],
      seq: 7,
      payload: "0102",
    })
    expect(printMessage(nfnetlink, message(0x0a7f), new Uint8Array())).toMatchObject({ type: "#2687" })
  })

  test("that means nothing is called so", () => {
    expect(printMessage(rtnetlink, message(1), new Uint8Array())).toEqual({ type: "NLMSG_NOOP", seq: 7 })
  })
})

test("flags without a name are one number at the end, and a number without a name stays one", () => {
  expect(flagNames({ UP: 1, PROMISC: 0x100 }, 0x80000101)).toEqual(["UP", "PROMISC", "0x80000000"])
  expect(flagNames({ UP: 1 }, 0)).toEqual([])
  expect([nameOf({ main: 254 }, 254), nameOf({ main: 254 }, 7)]).toEqual(["main", 7])
})
