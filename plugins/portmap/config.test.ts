import { describe, expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { versions } from "../../lib/cni/version.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import { formatPrefix } from "../../lib/ip/prefix.ts"
import { portmapConfig } from "../../lib/testing/host-ports.ts"
import { refusalOf } from "../../lib/testing/refusal.ts"
import { readPortmapConfig } from "./config.ts"
import type { Match } from "./packet-match.ts"
import { formatHostPort } from "./port-mapping.ts"

function read(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "podnet", type: "portmap", ...config })
  return readPortmapConfig(matchConfig(readConfig(new TextEncoder().encode(text)), versions))
}

const refusal = (config: object) => refusalOf(() => read(config))

const mapped = (...portMappings: object[]) => read({ runtimeConfig: { portMappings } }).mappings
const PORT = { hostPort: 8080, containerPort: 80, protocol: "tcp" }

test("without any key nothing is mapped, and what is gets the source address it needs", () => {
  expect(read({})).toEqual(portmapConfig())
  expect(read({ snat: false, masqAll: true })).toMatchObject({ snat: false, masqAll: true })
  expect(read({ runtimeConfig: {} }).mappings).toEqual([])
})

describe("backend", () => {
  test.each<[object, string | undefined]>([
    [{}, undefined],
    [{ backend: "" }, undefined],
    [{ markMasqBit: 3 }, undefined],
    [{ conditionsV4: [""] }, undefined],
    [{ backend: "nftables" }, "nftables"],
    [{ backend: "iptables" }, "iptables"],
    [{ conditionsV4: ["-s", "10.0.0.0/8"] }, "iptables"],
    [{ conditionsV6: ["!", "-s", "fd00::/8"] }, "iptables"],
    [{ externalSetMarkChain: "KUBE-MARK-MASQ" }, "iptables"],
    [{ conditionsV6: ["ip6 saddr fd00::/8"] }, "nftables"],
  ])("of %j is %s, by name or in that an option is of no other", (config, backend) => {
    expect(read(config).backend).toBe(backend)
  })

  const CHAIN = { externalSetMarkChain: "X" }
  const [OF_IPTABLES, OF_NFT] = [["-s", "10.0.0.1"], ["ip saddr 10.0.0.1"]]

  test.each<[object, string, string, string]>([
    [
      { backend: "nftables", conditionsV4: OF_IPTABLES, ...CHAIN },
      "nftables",
      "iptables",
      "externalSetMarkChain conditionsV4",
    ],
    [{ backend: "nftables", conditionsV6: ["-s", "fd00::1"] }, "nftables", "iptables", "conditionsV6"],
    [{ backend: "iptables", conditionsV4: OF_NFT }, "iptables", "nftables", "conditionsV4"],
    [{ conditionsV4: OF_NFT, ...CHAIN }, "iptables", "nftables", "conditionsV4"],
  ])("of %j is in conflict with options of the other, as in the Go plugin", (config, backend, other, options) => {
    const problem = `${backend} backend was requested but configuration contains ${other}-specific options [${options}]`
    expect(refusal(config)).toEqual([7, `invalid network config: backend: ${problem}`])
  })

  test.each(["dccp", "udplite"])("iptables knows no ports of %s", (protocol) => {
    const runtimeConfig = { portMappings: [PORT, { ...PORT, protocol }] }
    expect(refusal({ backend: "iptables", runtimeConfig })).toEqual([
      2,
      `unsupported field: runtimeConfig.portMappings[1].protocol: ${protocol}`,
    ])
  })

  test("another is unrecognized", () => {
    expect(refusal({ backend: "ipvs" })).toEqual([7, 'invalid network config: backend: unrecognized backend "ipvs"'])
  })
})

describe("the mark's bit", () => {
  test.each([
    [undefined, 13],
    [0, 0],
    [31, 31],
  ])("%s means %i", (markMasqBit, bit) => {
    expect(read({ markMasqBit }).iptables.markBit).toBe(bit)
  })

  test.each([-1, 32])("%i is refused", (markMasqBit) => {
    expect(refusal({ markMasqBit })[1]).toContain("MasqMarkBit must be between 0 and 31")
  })

  test("externalSetMarkChain belongs to iptables", () => {
    expect(read({ externalSetMarkChain: "KUBE-MARK-MASQ" }).iptables.markChain).toBe("KUBE-MARK-MASQ")
    expect(refusal({ externalSetMarkChain: "X", markMasqBit: 3 })[1]).toContain(
      "Cannot specify externalSetMarkChain and markMasqBit",
    )
    expect(read({ externalSetMarkChain: "", markMasqBit: 3 }).iptables.markChain).toBeUndefined()
  })
})

describe("port mappings", () => {
  test("are read whatever the case of their keys and protocols, as containerd sends them", () => {
    expect(mapped({ HostPort: 53, ContainerPort: 5353, Protocol: "UDP", HostIP: "" })).toEqual([
      { hostPort: 53, containerPort: 5353, protocol: "udp", hostIp: undefined },
    ])
    for (const protocol of ["SCTP", "dccp", "UDPLite"]) {
      expect(mapped({ ...PORT, protocol })[0]?.protocol).toBe(protocol.toLowerCase())
    }
  })

  test("for localhost are for the loopback address of each family", () => {
    const local = mapped({ ...PORT, hostIP: "localhost" }, { ...PORT, hostPort: 81, hostIP: "LocalHost" })
    expect(local.map(formatHostPort)).toEqual([
      "127.0.0.1:8080/tcp",
      "[::1]:8080/tcp",
      "127.0.0.1:81/tcp",
      "[::1]:81/tcp",
    ])
  })

  test.each(["192.0.2.1", "0.0.0.0", "fd00::1", "::"])("may name the address %s", (hostIP) => {
    const [{ hostIp } = {}] = mapped({ ...PORT, hostIP })
    expect(hostIp && formatAddress(hostIp)).toBe(hostIP)
  })

  test.each([
    ["192.0.2.1", "192.0.2.1:8080/tcp"],
    ["fd00::1", "[fd00::1]:8080/tcp"],
    ["::", "8080/tcp"],
    [undefined, "8080/tcp"],
  ])("for %s are called %s", (hostIP, name) => {
    expect(mapped({ ...PORT, hostIP }).map(formatHostPort)).toEqual([name])
  })

  test.each([
    [{ hostPort: 0 }, "Invalid host port number: 0"],
    [{ hostPort: undefined }, "Invalid host port number: 0"],
    [{ hostPort: -1 }, "Invalid host port number: -1"],
    [{ hostPort: 65536 }, "Invalid host port number: 65536"],
    [{ containerPort: 0 }, "Invalid container port number: 0"],
    [{ containerPort: 70000 }, "Invalid container port number: 70000"],
    [{ protocol: "icmp" }, 'unknown protocol "icmp"'],
    [{ protocol: "" }, 'unknown protocol ""'],
    [{ protocol: undefined }, 'unknown protocol ""'],
    [{ hostIP: "1.2.3" }, '"1.2.3" is not an IP address'],
    [{ hostIP: "node1" }, '"node1" is not an IP address'],
  ])("with %j are refused, by their place", (wrong, problem) => {
    const [code, message] = refusal({ runtimeConfig: { portMappings: [PORT, { ...PORT, ...wrong }] } })
    expect([code, message.includes(problem)], message).toEqual([7, true])
    expect(message).toContain("runtimeConfig.portMappings[1].")
  })

  test.each([{ hostPort: "80" }, { hostPort: 80.5 }, { protocol: 6 }])("with %j are of the wrong type", (wrong) => {
    expect(refusal({ runtimeConfig: { portMappings: [{ ...PORT, ...wrong }] } })[0]).toBe(6)
  })

  test("that are no list are refused", () => {
    expect(refusal({ runtimeConfig: { portMappings: { hostPort: 1 } } })[0]).toBe(6)
  })
})

describe("conditions", () => {
  function shown(match: Match): string {
    const not = match.not ? "!= " : ""
    if (match.field === "iifname") return `iifname ${not}${match.name}`
    if (match.field === "mark") return `mark & ${match.mask} ${not}${match.mark}`
    return `${match.field} ${not}${formatPrefix(match.prefix)}`
  }

  test.each([
    [["ip saddr 10.0.0.0/8"], ["saddr 10.0.0.0/8"]],
    [["ip", "daddr", "!=", "192.0.2.1"], ["daddr != 192.0.2.1/32"]],
    [["ip", "saddr", "==", "10.1.2.3/16"], ["saddr 10.1.0.0/16"]],
    [["iifname", '"eth0"'], ["iifname eth0"]],
    [["meta iifname != eth1"], ["iifname != eth1"]],
    [["meta", "mark", "0x10"], [`mark & ${0xffffffff} 16`]],
    [["mark", "&", "0xf0", "!=", "16"], ["mark & 240 != 16"]],
    [
      ["ip saddr 10.0.0.0/8", "iifname eth0", "meta mark 1"],
      ["saddr 10.0.0.0/8", "iifname eth0", `mark & ${0xffffffff} 1`],
    ],
    [[], []],
  ])("%j are understood", (conditionsV4, expected) => {
    expect(read({ conditionsV4 }).conditions[4].map(shown)).toEqual(expected)
    expect(read({ conditionsV4 }).conditions[6]).toEqual([])
  })

  test("of IPv6 are about IPv6 addresses", () => {
    expect(read({ conditionsV6: ["ip6 saddr != fd00::/8"] }).conditions[6].map(shown)).toEqual(["saddr != fd00::/8"])
  })

  test.each([
    [["ip6", "saddr", "fd00::/8"], '"ip6"'],
    [["ip", "saddr", "fd00::/8"], '"fd00::/8"'],
    [["ip", "saddr", "{10.0.0.0/8,", "192.0.2.1}"], '"{10.0.0.0/8,"'],
    [["ip", "protocol", "tcp"], '"protocol"'],
    [["ip", "saddr", "10.0.0.0/33"], '"10.0.0.0/33"'],
    [["ip", "saddr", "0.0.0.0/0"], '"0.0.0.0/0"'],
    [["counter"], '"counter"'],
    [["iifname", "eth*"], '"eth*"'],
    [["meta", "mark", "0x1ffffffff"], '"0x1ffffffff"'],
    [["meta", "mark", "1e3"], '"1e3"'],
    [["ip", "saddr"], "a condition breaks off"],
    [["ip saddr 10.0.0.0/8", "accept;"], '"accept;"'],
  ])("%j are refused, the word being named", (conditionsV4, word) => {
    const [code, message] = refusal({ conditionsV4 })
    expect([code, message.includes(word)], message).toEqual([7, true])
    expect(message).toContain("conditionsV4")
  })

  const ofIptables = (key: string, words: string[]) => {
    const { source, notSource, destination, notDestination, ...rest } = read({ [key]: words }).iptables.conditions[
      key.endsWith("4") ? 4 : 6
    ]
    const prefixes = Object.entries({ source, notSource, destination, notDestination })
    return Object.fromEntries([
      ...prefixes.flatMap(([name, prefix]) => (prefix ? [[name, formatPrefix(prefix)]] : [])),
      ...Object.entries(rest),
    ])
  }

  test.each<[string, string[], object]>([
    ["conditionsV4", ["-s", "10.1.2.3/8"], { source: "10.0.0.0/8" }],
    ["conditionsV4", ["!", "-d", "192.0.2.1", "-i", "eth0"], { notDestination: "192.0.2.1/32", fromInterface: "eth0" }],
    [
      "conditionsV4",
      ["! --source 10.0.0.0/8", "--in-interface", "eth0"],
      { notSource: "10.0.0.0/8", fromInterface: "eth0" },
    ],
    ["conditionsV4", ["!", "-i", "eth0", "-m", "mark", "--mark", "0x10/16"], { notFromInterface: "eth0", marked: 16 }],
    ["conditionsV6", ["--dst", "fd00::1", "--src", "fd00::/8"], { destination: "fd00::1/128", source: "fd00::/8" }],
  ])("%s %j in the words of iptables are understood", (key, words, expected) => {
    expect(ofIptables(key, words)).toEqual(expected)
  })

  test.each<[string[], string]>([
    [["-s", "fd00::/8"], '"fd00::/8"'],
    [["-s", "10.0.0.0/255.0.0.0"], '"10.0.0.0/255.0.0.0"'],
    [["-s", "10.0.0.1,10.0.0.2"], '"10.0.0.1,10.0.0.2"'],
    [["!", "-s", "0.0.0.0/0"], '"0.0.0.0/0"'],
    [["-s", "10.0.0.1", "!", "-s", "10.0.0.2"], '"-s"'],
    [["-i", "eth+"], '"eth+"'],
    [["-i", "eth0/1"], '"eth0/1"'],
    [["-o", "eth0"], '"-o"'],
    [["-p", "tcp"], '"-p"'],
    [["-j", "ACCEPT"], '"-j"'],
    [["!", "!", "-s"], '"!"'],
    [["!", "-m", "mark"], '"-m"'],
    [["-m", "comment", "--comment", "x"], '"comment"'],
    [["-m", "mark", "!", "--mark", "1/1"], '"!"'],
    [["-m", "mark", "--mark", "1"], '"1"'],
    [["-m", "mark", "--mark", "1/3"], '"1/3"'],
    [["-m", "mark", "--mark", "1/1/1"], '"1/1/1"'],
    [["-m", "mark", "--mark", "0x1ffffffff/0x1ffffffff"], '"0x1ffffffff/0x1ffffffff"'],
    [["-s"], "a condition breaks off"],
    [["-s", "10.0.0.1", "!"], "a condition breaks off"],
    [["-m", "mark", "--mark"], "a condition breaks off"],
  ])("%j are refused, the word being named", (conditionsV4, word) => {
    const [code, message] = refusal({ conditionsV4 })
    expect([code, message.includes(word)], message).toEqual([7, true])
    expect(message).toContain("conditionsV4")
  })
})
