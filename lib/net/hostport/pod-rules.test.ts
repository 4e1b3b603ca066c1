import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Address, bits, parseAddress } from "../../ip/address.ts"
import { parsePrefix } from "../../ip/prefix.ts"
import { readRule } from "../../netlink/netfilter/read-rule.ts"
import type { PortMapping, Protocol } from "../port-mapping.ts"
import { protocols } from "../port-mapping.ts"
import { mappingRules, masqueradeRules, type PodPorts } from "./pod-rules.ts"

function ip(text: string): Address {
  const address = parseAddress(text)
  if (!address) throw new Error(text)
  return address
}

const pod: PodPorts = { family: 4, address: ip("10.1.0.2"), mappings: [], conditions: [], masquerade: "needed" }

const anyAddress = (family: 4 | 6) =>
  fc.bigInt({ min: 1n, max: 2n ** BigInt(bits(family)) - 1n }).map((value): Address => ({ family, value }))

const podOf = (family: 4 | 6) =>
  fc.record({
    address: anyAddress(family),
    hostIp: fc.option(anyAddress(family), { nil: undefined }),
    protocol: fc.constantFrom<Protocol>("tcp", "udp", "sctp"),
    hostPort: fc.integer({ min: 1, max: 65535 }),
    containerPort: fc.integer({ min: 1, max: 65535 }),
  })

test("a rule for a port is read back as what it was made from", () => {
  fc.assert(
    fc.property(fc.oneof(podOf(4), podOf(6)), ({ address, ...mapping }) => {
      const [steps = []] = mappingRules({ ...pod, family: address.family, address, mappings: [mapping] })
      expect(readRule(steps)).toEqual({
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
  const prefix = parsePrefix("192.0.2.0/24")
  if (!prefix) throw new Error("no prefix")
  const mapping: PortMapping = { protocol: "tcp", hostPort: 1, containerPort: 2 }
  const [steps = []] = mappingRules({
    ...pod,
    mappings: [mapping],
    conditions: [
      { field: "daddr", prefix, not: false },
      { field: "saddr", prefix, not: true },
    ],
  })
  expect(steps.slice(0, 4).map(({ name }) => name)).toEqual(["payload", "cmp", "payload", "cmp"])
  expect(readRule(steps)).not.toHaveProperty("destination")
})

describe("masquerading", () => {
  test.each([
    [4, "none", 0],
    [4, "needed", 2],
    [4, "all", 3],
    [6, "none", 0],
    [6, "needed", 1],
    [6, "all", 2],
  ] as const)("IPv%i, %s: %i rules", (family, masquerade, count) => {
    const address = ip(family === 4 ? "10.1.0.2" : "fd00::2")
    const rules = masqueradeRules({ ...pod, family, address, masquerade })
    expect(rules).toHaveLength(count)
    for (const steps of rules) expect(readRule(steps)).toEqual({ destination: address })
  })
})
