import { describe, expect, test } from "vitest"
import { CniError } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { emptyResult, type Interface, type Result } from "../../lib/cni/result.ts"
import { formatAddress, parseAddress } from "../../lib/ip/address.ts"
import { parsePrefix } from "../../lib/ip/prefix.ts"
import { portmapConfig } from "../../lib/testing/host-ports.ts"
import { silentLog } from "../../lib/testing/silent-log.ts"
import { planPodMappings } from "./pod-mappings.ts"
import type { PortMapping } from "./port-mapping.ts"

const call = { environment: { ifname: "eth0" }, log: silentLog } as Call
const HOST: Interface = { name: "eth0", mac: "", sandbox: "" }
const POD: Interface = { name: "eth0", mac: "", sandbox: "/run/netns/pod" }
const OTHER: Interface = { name: "net1", mac: "", sandbox: "/run/netns/pod" }

function mapping(hostIP?: string): PortMapping {
  return { protocol: "tcp", hostPort: 8080, containerPort: 80, hostIp: hostIP ? parseAddress(hostIP) : undefined }
}

const config = (...mappings: PortMapping[]) => portmapConfig({ mappings })

function result(interfaces: readonly Interface[], ...ips: [address: string, index?: number][]): Result {
  const read = ([text, index]: [string, number?]) => {
    const address = parsePrefix(text)
    if (!address) throw new Error(text)
    return { address, interface: index }
  }
  return { ...emptyResult, interfaces, ips: ips.map(read) }
}

const addresses = (previous: Result, wanted = config(mapping())) =>
  planPodMappings(call, wanted, previous, "nftables").map(({ address }) => formatAddress(address))

describe("the pod's address", () => {
  test("is the first of each family", () => {
    expect(
      addresses(result([POD], ["10.1.0.2/24", 0], ["fd00::2/64", 0], ["10.1.0.3/24", 0], ["fd00::3/64", 0])),
    ).toEqual(["10.1.0.2", "fd00::2"])
  })

  test("is that of CNI_IFNAME in the sandbox, not of a host's interface or another of the pod's listed first", () => {
    expect(addresses(result([HOST, OTHER, POD], ["10.9.0.1/24", 0], ["10.8.0.1/24", 1], ["10.1.0.2/24", 2]))).toEqual([
      "10.1.0.2",
    ])
  })

  test("may be without interface, or name one that is not listed", () => {
    expect(addresses(result([HOST], ["10.1.0.2/24"]))).toEqual(["10.1.0.2"])
    expect(addresses(result([HOST], ["10.1.0.2/24", 7]))).toEqual(["10.1.0.2"])
  })
})

describe("a mapping", () => {
  const dual = result([POD], ["10.1.0.2/24", 0], ["fd00::2/64", 0])

  test.each([
    [undefined, ["10.1.0.2", "fd00::2"]],
    ["192.0.2.1", ["10.1.0.2"]],
    ["0.0.0.0", ["10.1.0.2"]],
    ["::", ["fd00::2"]],
    ["fd00::1", ["fd00::2"]],
  ])("for host address %s leads to %j", (hostIP, expected) => {
    expect(addresses(dual, config(mapping(hostIP)))).toEqual(expected)
  })

  test("for both families leads to the one that the pod has", () => {
    const both = config(mapping("0.0.0.0"), mapping("::"))
    expect(addresses(result([POD], ["10.1.0.2/24", 0]), both)).toEqual(["10.1.0.2"])
    expect(addresses(result([POD], ["fd00::2/64", 0]), both)).toEqual(["fd00::2"])
  })

  test("of one family makes the other one count too, by iptables alone", () => {
    const planned = planPodMappings(call, config(mapping("0.0.0.0")), dual, "iptables")
    expect(planned.map(({ family, mappings }) => [family, mappings.length])).toEqual([
      [4, 1],
      [6, 0],
    ])
  })

  test("leads nowhere, and is no error, if the only address is another interface's", () => {
    expect(addresses(result([HOST], ["10.1.0.2/24", 0]))).toEqual([])
    expect(addresses(result([OTHER, POD], ["10.1.0.2/24", 0]), config(mapping("0.0.0.0")))).toEqual([])
  })

  test.each([
    [["10.1.0.2/24"], "fd00::1", "no IPv6 address"],
    [["fd00::2/64"], "192.0.2.1", "no IPv4 address"],
    [[], undefined, "no IP address"],
  ])("of a pod with %j for host address %s would lead nowhere", (ips, hostIP, problem) => {
    const previous = result([POD], ...ips.map((ip): [string, number] => [ip, 0]))
    expect(() => planPodMappings(call, config(mapping(hostIP)), previous, "iptables")).toThrow(CniError)
    expect(() => planPodMappings(call, config(mapping(hostIP)), previous, "iptables")).toThrow(problem)
  })
})

test.each([
  [true, false, "needed"],
  [true, true, "all"],
  [false, true, "none"],
])("snat %s, masqAll %s: %s get the node's address", (snat, masqAll, expected) => {
  const wanted = { ...config(mapping()), snat, masqAll }
  const plan = planPodMappings(call, wanted, result([POD], ["10.1.0.2/24", 0]), "nftables")
  expect(plan.map(({ masquerade }) => masquerade)).toEqual([expected])
})
