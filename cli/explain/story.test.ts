import { describe, expect, test } from "vitest"
import { scriptOf, wrapped } from "./shell.ts"
import { tellStory } from "./story.ts"

const POD = "/run/netns/pod"

/** Tells what a log with these messages says, as a script. */
function told(...messages: object[]): string[] {
  const log = messages.map((netlink) => `${JSON.stringify({ plugin: "bridge", netlink })}\n`).join("")
  const handle = (_: string, copy: string) => (copy === "7" ? "70" : undefined)
  const place = (index: number, name: string) => ({
    links: new Map([[index, name]]),
    late: new Map(),
    routes: new Set<string>(),
  })
  const teller = { ticks: 15.625, podName: "pod", handle, host: place(4, "cni0"), pod: place(2, "eth0") }
  return scriptOf(tellStory(`${log}{"plugin":"bridge","ms":4}\n`, teller), "pod")
}

const sent = (type: string, more: object) => ({ direction: "sent", family: "route", type, flags: ["REQUEST"], ...more })
const answer = (seq: number, error: number | string = 0) => ({
  ...{ direction: "received", family: "route", type: "NLMSG_ERROR" },
  ...{ seq, error },
})
const inPod = (message: object) => ({ ...message, netns: POD })
const up = (index: number, seq: number) =>
  sent("RTM_NEWLINK", { seq, header: { family: "unspec", index, flags: ["UP"], change: ["UP"] } })

describe("of a plugin's netlink messages", () => {
  test("those count that the kernel has acknowledged, each in its namespace", () => {
    const refused = [up(4, 1), answer(1, "EBUSY")]
    expect(told(...refused, up(4, 2), answer(2), inPod(up(2, 1)), inPod(answer(1)))).toEqual([
      "ip link set dev cni0 up",
      "ip -n pod link set dev eth0 up",
    ])
  })

  test("a name is the one that the link has by then", () => {
    const known = {
      ...sent("RTM_NEWLINK", { header: { index: 5 }, attributes: { IFLA_IFNAME: "old" } }),
      direction: "received",
    }
    const renamed = { seq: 1, header: { index: 5, flags: [], change: [] }, attributes: { IFLA_IFNAME: "new" } }
    expect(told(known, sent("RTM_NEWLINK", renamed), answer(1), up(5, 2), answer(2))).toEqual([
      "ip link set dev old name new",
      "ip link set dev new up",
    ])
  })

  test("of a datagram's messages, of which the last is acknowledged, a refused one does not count", () => {
    const last = (message: object) => ({ ...message, flags: ["REQUEST", "ACK"] })
    expect(told(up(4, 1), up(4, 2), last(up(5, 3)), answer(1, "ENOENT"), answer(3))).toEqual([
      "ip link set dev cni0 up",
      "ip link set dev if5 up",
    ])
    expect(told(up(4, 1), last(up(5, 2)), answer(2, "EBUSY"))).toEqual(["ip link set dev cni0 up"])
  })

  test("a transaction counts as a whole", () => {
    const nft = (type: string, seq: number, attributes = {}) => ({
      ...{ direction: "sent", family: "netfilter", type, flags: [], seq },
      ...{ header: { family: "ip" }, attributes },
    })
    const table = (first: number) => [
      nft("NFNL_MSG_BATCH_BEGIN", first),
      nft("NFT_MSG_NEWTABLE", first + 1, { NFTA_TABLE_NAME: "cni_hostport" }),
      nft("NFT_MSG_DELRULE", first + 2, { NFTA_RULE_TABLE: "t", NFTA_RULE_CHAIN: "c", NFTA_RULE_HANDLE: "7" }),
      nft("NFT_MSG_DELRULE", first + 3, { NFTA_RULE_TABLE: "t", NFTA_RULE_CHAIN: "c", NFTA_RULE_HANDLE: "8" }),
      nft("NFNL_MSG_BATCH_END", first + 4),
    ]
    const netfilter = (seq: number, error: number | string) => ({ ...answer(seq, error), family: "netfilter" })
    expect(told(...table(1), netfilter(1, "ERESTART"), ...table(6), netfilter(9, 0))).toEqual([
      "nft add table ip cni_hostport",
      "nft delete rule ip t c handle 70", // the node's number
      "# not told: NFT_MSG_DELRULE: a rule of chain ip t c that this ADD has made goes again",
    ])
  })

  test("a second route to a destination comes before the first, as the kernel puts it", () => {
    const route = (seq: number) => {
      const header = { family: "inet", dst_len: 0, table: "main", protocol: "boot", scope: "global", type: "unicast" }
      const attributes = { RTA_DST: "0.0.0.0", RTA_OIF: 4, RTA_GATEWAY: `10.0.0.${seq}` }
      return { ...sent("RTM_NEWROUTE", { seq, header, attributes }), flags: ["REQUEST", "ACK", "CREATE"] }
    }
    expect(told(route(1), answer(1), route(2), answer(2))).toEqual([
      "ip route add default via 10.0.0.1 dev cni0",
      "ip route prepend default via 10.0.0.2 dev cni0",
    ])
  })

  test("what no command says is not guessed", () => {
    const odd = { seq: 1, header: { index: 4, flags: [], change: [] }, attributes: { IFLA_MTU: 1400, "#55": "00" } }
    expect(told(sent("RTM_NEWLINK", odd), answer(1))).toEqual(["# not told: RTM_NEWLINK: #55 in a message"])
  })

  test("sysctls are set where they are told", () => {
    const sysctl = (name: string) => ({ direction: "sent", family: "sysctl", name, value: "1" })
    expect(told(sysctl("net/ipv4/ip_forward"), inPod(sysctl("net/ipv4/conf/eth0.5/arp_notify")))).toEqual([
      "sysctl -qw net.ipv4.ip_forward=1",
      "ip netns exec pod sysctl -qw net/ipv4/conf/eth0.5/arp_notify=1",
    ])
  })
})

describe("a line of more than 100 columns", () => {
  test("is broken between words, and within one that is longer, so that a shell reads the same", () => {
    const line = `nft add rule ${"word ".repeat(20)}comment '"${"of a container ".repeat(10)}"'`
    const lines = wrapped(line).split("\n")
    expect(lines.filter((each) => each.length > 100)).toEqual([])
    expect(lines.join("\n").replaceAll("'\\\n'", "").replaceAll(" \\\n    ", " ")).toBe(line)
  })

  test("is several comments if it is one", () => {
    expect(wrapped(`# ${"word ".repeat(30)}end`)).toMatch(/^# word[^\n]{80,96}\n# {3}word[^\n]*end$/)
  })
})
