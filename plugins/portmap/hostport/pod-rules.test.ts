import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Address, bits, parseAddress } from "../../../lib/ip/address.ts"
import { type Prefix, parsePrefix } from "../../../lib/ip/prefix.ts"
import { decodeSteps } from "../../../lib/netlink/netfilter/expression.ts"
import { readRule } from "../../../lib/netlink/netfilter/read-rule.ts"
import type { Match } from "../packet-match.ts"
import type { PodMappings } from "../pod-mappings.ts"
import type { PortMapping, Protocol } from "../port-mapping.ts"
import { protocols } from "../port-mapping.ts"
import { hostportMasqueradeRules, mappingRule } from "./pod-rules.ts"

function ip(text: string): Address {
  const address = parseAddress(text)
  if (!address) throw new Error(text)
  return address
}

function network(text: string): Prefix {
  const prefix = parsePrefix(text)
  if (!prefix) throw new Error(text)
  return prefix
}

const pod: PodMappings = {
  family: 4,
  netns: "/run/netns/pod",
  address: ip("10.1.0.2"),
  network: network("10.1.0.2/24"),
  mappings: [],
  conditions: [],
  masquerade: "needed",
}

const anyAddress = (family: 4 | 6) =>
  fc.bigInt({ min: 1n, max: 2n ** BigInt(bits(family)) - 1n }).map((value): Address => ({ family, value }))

const podOf = (family: 4 | 6) =>
  fc.record({
    address: anyAddress(family),
    hostIp: fc.option(anyAddress(family), { nil: undefined }),
    protocol: fc.constantFrom<Protocol>("tcp", "udp", "sctp", "dccp", "udplite"),
    hostPort: fc.integer({ min: 1, max: 65535 }),
    containerPort: fc.integer({ min: 1, max: 65535 }),
  })

test("a rule for a port is read back as what it was made from", () => {
  fc.assert(
    fc.property(fc.oneof(podOf(4), podOf(6)), ({ address, ...mapping }) => {
      const steps = mappingRule({ ...pod, family: address.family, address }, mapping)
      expect(readRule(steps.flatMap(decodeSteps))).toEqual({
        protocol: protocols[mapping.protocol],
        destinationPort: mapping.hostPort,
        to: address,
        toPort: mapping.containerPort,
        ...(mapping.hostIp && { destination: mapping.hostIp }),
      })
    }),
  )
})

test("conditions come first and are not taken for the address that the mapping is for", () => {
  const prefix = network("192.0.2.0/24")
  const mapping: PortMapping = { protocol: "tcp", hostPort: 1, containerPort: 2 }
  const conditions: Match[] = [
    { field: "daddr", prefix, not: false },
    { field: "saddr", prefix, not: true },
  ]
  const steps = mappingRule({ ...pod, conditions }, mapping).flatMap(decodeSteps)
  expect(steps.slice(0, 4).map(({ name }) => name)).toEqual(["payload", "cmp", "payload", "cmp"])
  expect(readRule(steps)).not.toHaveProperty("destination")
})

describe("masquerading", () => {
  test.each([
    ["10.1.0.2/24", "none", 0],
    ["10.1.0.2/24", "needed", 2],
    ["10.1.0.2/32", "needed", 2],
    ["10.1.0.2/0", "needed", 2],
    ["10.1.0.2/24", "all", 3],
    ["fd00::2/64", "none", 0],
    ["fd00::2/64", "needed", 1],
    ["fd00::2/128", "needed", 1],
    ["fd00::2/64", "all", 2],
  ] as const)("%s, %s: %i rules", (text, masquerade, count) => {
    const own = network(text)
    const { address } = own
    const rules = hostportMasqueradeRules({ ...pod, family: address.family, address, network: own, masquerade })
    expect(rules).toHaveLength(count)
    for (const steps of rules) expect(readRule(steps.flatMap(decodeSteps))).toEqual({ destination: address })
  })
})
