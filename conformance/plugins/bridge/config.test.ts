import { afterAll, describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { hostLocal, Network } from "./network.ts"

/** Names of faults, the keys that make them, and what the error says. */
const REFUSED: readonly [string, object, { code: number; msg: string }][] = [
  ["vlan -100", { vlan: -100 }, { code: 7, msg: "invalid VLAN ID -100 (must be between 0 and 4094)" }],
  ["vlan 5000", { vlan: 5000 }, { code: 7, msg: "invalid VLAN ID 5000 (must be between 0 and 4094)" }],
  ["vlan 4095", { vlan: 4095 }, { code: 7, msg: "invalid VLAN ID 4095" }],
  ["a trunk range without minID", { vlanTrunk: [{ maxID: 9 }] }, { code: 7, msg: "simultaneously, minID is missing" }],
  ["a trunk range without maxID", { vlanTrunk: [{ minID: 9 }] }, { code: 7, msg: "simultaneously, maxID is missing" }],
  [
    "a trunk range that runs backwards",
    { vlanTrunk: [{ minID: 10, maxID: 9 }] },
    { code: 7, msg: "vlanTrunk[0]: minID is greater than maxID" },
  ],
  ["trunk minID 0", { vlanTrunk: [{ minID: 0, maxID: 9 }] }, { code: 7, msg: "incorrect trunk minID parameter" }],
  ["trunk minID -1", { vlanTrunk: [{ minID: -1, maxID: 9 }] }, { code: 7, msg: "incorrect trunk minID parameter" }],
  ["trunk minID 4095", { vlanTrunk: [{ minID: 4095, maxID: 9 }] }, { code: 7, msg: "incorrect trunk minID parameter" }],
  ["trunk maxID 4095", { vlanTrunk: [{ minID: 1, maxID: 4095 }] }, { code: 7, msg: "incorrect trunk maxID parameter" }],
  ["trunk maxID 0", { vlanTrunk: [{ minID: 1, maxID: 0 }] }, { code: 7, msg: "incorrect trunk maxID parameter" }],
  ["trunk id 0", { vlanTrunk: [{ id: 0 }] }, { code: 7, msg: "incorrect trunk id parameter" }],
  ["trunk id 4095", { vlanTrunk: [{ id: 1 }, { id: 4095 }] }, { code: 7, msg: "vlanTrunk[1].id: incorrect trunk id" }],
  ["a trunk that is no list", { vlanTrunk: { id: 1 } }, { code: 6, msg: "vlanTrunk: expected a list" }],
  [
    "hairpinMode and promiscMode",
    { hairpinMode: true, promiscMode: true },
    { code: 7, msg: "hairpin mode and promisc" },
  ],
  ["a flag in quotes", { isGateway: "true" }, { code: 6, msg: "isGateway: expected true or false" }],
  ["a fractional mtu", { mtu: 1450.5 }, { code: 6, msg: "mtu: expected a whole number" }],
  ["a negative mtu", { mtu: -1 }, { code: 7, msg: "mtu: -1 is not between 68 and 65535" }],
  ["an mtu beyond 32 bits", { mtu: 2 ** 40 }, { code: 7, msg: "mtu: 1099511627776 is not between" }],
  [
    "a gateway's interface whose name would be too long",
    { bridge: "long-bridge-na", vlan: 100, isGateway: true, ipam: { type: "host-local" } },
    { code: 7, msg: 'at most 15 bytes: the gateway\'s would be "long-bridge-na.100"' },
  ],
  [
    "addresses for an interface that stays down",
    { disableContainerInterface: true, ipam: { type: "host-local" } },
    { code: 7, msg: "cannot use IPAM when DisableContainerInterface flag is set" },
  ],
  [
    "ipMasq by another backend",
    { ipMasq: true, ipMasqBackend: "pf", ipam: { type: "host-local" } },
    { code: 7, msg: 'unknown backend "pf"' },
  ],
]

describe("a configuration that cannot be served", () => {
  const node = new Node()
  afterAll(() => node[Symbol.dispose]())
  const [one, two] = [node.pod(), node.pod()]
  const network = new Network(node)

  test.each(REFUSED)("is refused by ADD and CHECK, and nothing is changed: %s", (_, config, { code, msg }) => {
    const before = snapshot(node)
    for (const command of ["ADD", "CHECK"]) {
      const outcome = network.ask(command, one, { config: { ...config } })
      expect(outcome, command).toMatchObject({ exitCode: 1, stderr: "" })
      expect(outcome.error, command).toMatchObject({ code, msg: expect.stringContaining(msg) })
    }
    expect(snapshot(node)).toEqual(before)
  })

  test.each(REFUSED)("does not keep DEL from cleaning up: %s", (_, config) => {
    network.connect(two)
    const deleted = network.del(two, { config: { ...config } })
    expect(deleted).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(two.link("eth0")).toBeUndefined()
  })
})

test("a MAC address of words is refused by ADD", () => {
  using node = new Node()
  const [pod, before] = [node.pod(), snapshot(node)]
  const { error } = new Network(node, { args: { cni: { mac: "my mac" } } }).add(pod)
  expect(error).toMatchObject({ code: 7, msg: 'invalid network config: args.cni.mac: "my mac" is not a MAC address' })
  expect(snapshot(node)).toEqual(before)
})

describe.each(["0.1.0", "0.2.0"])("cniVersion %s, which has room for one address per family", (cniVersion) => {
  test("a network without addresses is refused before anything is made", () => {
    using node = new Node()
    const [network, pod] = [new Network(node, { cniVersion }), node.pod()]
    const before = snapshot(node)
    const msg = expect.stringContaining("no valid IP addresses")
    expect(network.add(pod)).toMatchObject({ exitCode: 1, error: { cniVersion, code: 1, msg } })
    expect(snapshot(node)).toEqual(before)
  })

  test.each([[["10.1.0.0/24", "10.2.0.0/24"]], [["fd01::/64", "fd02::/64"]]])(
    "two ranges %s are refused",
    (subnets) => {
      using node = new Node()
      const network = new Network(node, { cniVersion, ipam: hostLocal(node, subnets) })
      const [pod, before] = [node.pod(), snapshot(node)]
      const msg = expect.stringContaining(`CNI version ${cniVersion} does not support more than 1 address per family`)
      expect(network.add(pod).error).toMatchObject({ code: 7, msg })
      expect(snapshot(node)).toEqual(before)
      expect(network.del(pod), "DEL must not fail where ADD did").toMatchObject({ exitCode: 0, stdout: "" })
      expect(snapshot(node)).toEqual(before)
    },
  )
})
