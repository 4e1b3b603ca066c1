import { afterAll, describe, expect, test } from "vitest"
import type { Call, Outcome, Result } from "../../lab/call.ts"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { Network } from "../bridge/network.ts"

const node = new Node()
afterAll(() => node[Symbol.dispose]())
const pod = node.pod()

const FULL = {
  addresses: [
    { address: "10.10.0.7/24", gateway: "10.10.0.254" },
    { address: "3ffe:ffff:0:01ff::1/64", gateway: "3ffe:ffff:0::1" },
  ],
  routes: [
    { dst: "0.0.0.0/0" },
    { dst: "192.168.0.0/16", gw: "10.10.5.1" },
    { dst: "192.168.0.0/16", gw: "10.10.6.1" },
    { dst: "3ffe:ffff:0:01ff::1/64" },
  ],
  dns: { nameservers: ["8.8.8.8"], domain: "example.com", search: ["example.com", "b"], options: ["ndots:5"] },
}
const PLAIN = { addresses: [{ address: "10.10.0.7/24" }] }
const RUNTIME = { ips: ["172.16.1.1/24", "fd16::1/64"] }
const ARGS = { cni: { ips: ["192.168.9.9/24"] } }

function ask(command: string, config: object, more: Partial<Call> = {}): Outcome {
  const { ipam = PLAIN, ...rest } = config as { ipam?: object | null }
  const full = {
    cniVersion: "1.0.0",
    name: "net",
    type: "whoever",
    ...rest,
    ...(ipam && { ipam: { type: "static", ...ipam } }),
  }
  return node.call("static", { command, netns: pod, config: full, ...more })
}

describe("ADD answers byte for byte as the reference:", () => {
  const cases: Readonly<Record<string, [config: object, args?: string]>> = {
    "both families with gateways, routes with and without, several to one destination, dns": [{ ipam: FULL }],
    "an address without gateway": [{}],
    "one address and its gateway from CNI_ARGS": [{ ipam: {} }, "IP=10.9.0.5/24;GATEWAY=10.9.0.1"],
    "several addresses from CNI_ARGS, the gateway fits the first": [{}, "IP=10.9.0.5/24,11.9.0.5/24;GATEWAY=10.9.0.1"],
    "a gateway from CNI_ARGS that fits a configured address": [{}, "IP=10.9.0.5/24;GATEWAY=10.10.0.1"],
    "addresses from runtimeConfig": [{ ipam: {}, runtimeConfig: RUNTIME }],
    "addresses from args.cni.ips": [{ args: ARGS }],
    "all sources at once: runtimeConfig's only": [{ runtimeConfig: RUNTIME, args: ARGS }, "IP=10.9.0.5/24"],
    "unknown keys of CNI_ARGS beside IgnoreUnknown": [{}, "IgnoreUnknown=1;K8S_POD_NAME=a;IP=10.9.0.5/24"],
    "an Address beside the address, as Go programs print their structs": [
      { ipam: { addresses: [{ address: "10.10.0.7/24", Address: { IP: "10.10.0.7", Mask: "////AA==" } }] } },
    ],
    "a capital key and a /32": [{ ipam: { Addresses: [{ address: "10.10.0.7/32" }] } }],
    "route options of 1.1.0": [
      { cniVersion: "1.1.0", ipam: { ...PLAIN, routes: [{ dst: "10.5.0.0/16", mtu: 1400, table: 0, priority: 5 }] } },
    ],
    "no address at all": [{ ipam: {} }],
  }

  test.each(Object.entries(cases))("%s", (_, [config, args]) => {
    const [ours, reference] = both("ADD", config, { args })
    expect(reference.exitCode).toBe(0)
    expect(ours.stdout).toBe(reference.stdout)
  })

  test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])("at %s", (cniVersion) => {
    const [ours, reference] = both("ADD", { ipam: FULL, cniVersion })
    expect(reference.exitCode).toBe(0)
    expect(ours.stdout).toBe(reference.stdout)
  })
})

describe("ADD refuses, as the reference does and with its words,", () => {
  const two = { addresses: [{ address: "10.10.0.7/24" }, { address: "10.10.0.8/24" }] }
  const cases: Readonly<Record<string, [config: object, words: string, args?: string]>> = {
    "several addresses of a family below 0.3.0": [
      { ipam: two, cniVersion: "0.2.0" },
      "CNI version 0.2.0 does not support more than 1 address per family",
    ],
    "a configured address without prefix length": [
      { ipam: { addresses: [{ address: "10.10.0.7" }] } },
      "the 'address' field is expected to be in CIDR notation, got: '10.10.0.7'",
    ],
    "one in CNI_ARGS": [{}, "the 'ip' field is expected to be in CIDR notation, got: '10.9.0.5'", "IP=10.9.0.5"],
    "one in args": [
      { args: { cni: { ips: ["10.9.0.5"] } } },
      "an entry in the 'ips' field is NOT in CIDR notation, got: '10.9.0.5'",
    ],
    "one in runtimeConfig": [
      { runtimeConfig: { ips: ["x"] } },
      "an entry in the 'ips' field is NOT in CIDR notation, got: 'x'",
    ],
    "no ipam beside addresses of args": [{ ipam: null, args: ARGS }, "IPAM config missing 'ipam' key"],
    "no ipam beside addresses of the runtime": [
      { ipam: null, runtimeConfig: RUNTIME },
      "IPAM config missing 'ipam' key",
    ],
  }

  test.each(Object.entries(cases))("%s", (_, [config, words, args]) => {
    const [ours, reference] = both("ADD", config, { args })
    expect(reference.error?.msg).toContain(words)
    expect(ours).toMatchObject({ exitCode: 1, error: { msg: expect.stringContaining(words) } })
    expect([4, 7]).toContain(ours.error?.code)
  })
})

describe("CHECK", () => {
  const result = ask("ADD", { ipam: FULL }).result as Result

  test("of what ADD answered succeeds", () => {
    expect(ask("CHECK", { ipam: FULL, prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" })
  })

  test("fails where an address has another gateway", () => {
    const ips = result.ips?.map((ip) => ({ ...ip, gateway: "10.10.0.253" })) ?? []
    const [ours, reference] = both("CHECK", { ipam: FULL, prevResult: { ...result, ips } })
    expect([ours.error?.code, reference.exitCode]).toEqual([104, 1])
    expect(ours.error?.msg).toContain("Failed to match addr 10.10.0.7/24 on interface eth0")
  })

  test("fails where a configured address is missing (the reference overlooks it)", () => {
    const ips = result.ips?.slice(1) ?? []
    const [ours, reference] = both("CHECK", { ipam: FULL, prevResult: { ...result, ips } })
    expect([ours.error?.code, ours.error?.msg]).toEqual([104, "static: address 10.10.0.7/24 is not in prevResult"])
    expect(reference.exitCode).toBe(0)
  })

  test("needs prevResult", () => {
    expect(ask("CHECK", {}).error?.msg).toContain("Required prevResult missing")
  })
})

test("DEL of whatever was never added succeeds, also where ADD would not, and twice", () => {
  for (const config of [{}, { ipam: null }, { ipam: { addresses: [{ address: "x" }] } }, {}]) {
    expect(ask("DEL", config, { containerId: "nobody" })).toMatchObject({ exitCode: 0, stdout: "" })
  }
})

test("GC has nothing to do; STATUS says whether the configuration can be served", () => {
  const at = { cniVersion: "1.1.0" }
  expect(ask("GC", at, { netns: undefined })).toMatchObject({ exitCode: 0, stdout: "" })
  expect(ask("STATUS", at, { netns: undefined })).toMatchObject({ exitCode: 0, stdout: "" })
  expect(ask("STATUS", { ...at, ipam: null }, { netns: undefined }).error?.code).toBe(7)
})

test("as bridge's IPAM it starts no process, and the pod has what was configured", () => {
  using own = new Node()
  const netns = own.pod()
  const ipam = {
    type: "static",
    addresses: [{ address: "10.10.0.7/24", gateway: "10.10.0.254" }, { address: "fd00:10::7/64" }],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.10.0.9" }],
  }
  const network = new Network(own, { isGateway: true, ipam })
  const traced = own.trace("bridge", { command: "ADD", netns, config: network.config }, "socket")
  expect([traced.outcome.exitCode, traced.processes]).toEqual([0, 0])
  expect(netns.addresses("eth0")).toEqual(["10.10.0.7/24", "fd00:10::7/64"])
  expect(netns.pings("10.10.0.254")).toBe(true)
  expect(network.check(netns, traced.outcome.result as Result).stdout).toBe("")
  expect(network.as("reference").check(netns, traced.outcome.result as Result).exitCode).toBe(0)
  expect(network.del(netns)).toMatchObject({ exitCode: 0, stdout: "" })
})

/** The same call, answered by ours and by the reference. */
function both(command: string, config: object, more: Partial<Call> = {}): [Outcome, Outcome] {
  const by = (implementation: Implementation) => ask(command, config, { ...more, implementation })
  return [by("ours"), by("reference")]
}
