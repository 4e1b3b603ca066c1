import { describe, expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { CniError } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { versions } from "../../lib/cni/version.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { silentLog } from "../../lib/testing/silent-log.ts"
import { type BridgeConfig, readBridgeConfig, readRequestedMac } from "./config.ts"

const network = (config: object) => {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "podnet", type: "bridge", ...config })
  return matchConfig(readConfig(new TextEncoder().encode(text)), versions)
}
const read = (config: object): BridgeConfig => readBridgeConfig(network(config))

function refusal(attempt: () => unknown): { code: number; message: string } {
  try {
    attempt()
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, message: error.message }
    throw error
  }
  throw new Error("not refused")
}

test("without any key it is cni0, no gateway, no VLAN, no addresses", () => {
  expect(read({})).toEqual({
    bridge: "cni0",
    isGateway: false,
    isDefaultGateway: false,
    forceAddress: false,
    mtu: 0,
    hairpinMode: false,
    promiscMode: false,
    vlan: 0,
    vlanTrunk: undefined,
    preserveDefaultVlan: false,
    enableDad: false,
    disableContainerInterface: false,
    portIsolation: false,
    ipMasq: undefined,
    macspoofchk: false,
    ipamType: "",
    dns: undefined,
  })
})

test("every key is read, in whatever case", () => {
  const config = {
    BRIDGE: "br1",
    IsGateway: true,
    forceAddress: true,
    MTU: 1450,
    hairpinMode: true,
    vlan: 4094,
    preserveDefaultVlan: true,
    enabledad: true,
    portIsolation: true,
    ipam: { TYPE: "host-local" },
  }
  expect(read(config)).toMatchObject({
    bridge: "br1",
    isGateway: true,
    isDefaultGateway: false,
    forceAddress: true,
    mtu: 1450,
    hairpinMode: true,
    vlan: 4094,
    preserveDefaultVlan: true,
    enableDad: true,
    portIsolation: true,
    ipamType: "host-local",
  })
  expect(read({ promiscMode: true, disableContainerInterface: true })).toMatchObject({
    promiscMode: true,
    disableContainerInterface: true,
  })
})

test("isDefaultGateway implies isGateway, even one that is denied", () => {
  expect(read({ isDefaultGateway: true })).toMatchObject({ isGateway: true, isDefaultGateway: true })
  expect(read({ isDefaultGateway: true, isGateway: false })).toMatchObject({ isGateway: true })
})

describe("the bridge's name", () => {
  test("an empty one is the default", () => {
    expect(read({ bridge: "" }).bridge).toBe("cni0")
  })

  test.each(["a-name-of-16-byte", "..", "a/b", "a b", "br%d"])(
    "%s is refused: the kernel would not take it",
    (bridge) => {
      expect(refusal(() => read({ bridge }))).toMatchObject({
        code: 7,
        message: expect.stringContaining("invalid network config: bridge: interface name"),
      })
    },
  )
})

test.each(["isGateway", "isDefaultGateway", "forceAddress", "hairpinMode", "promiscMode", "ipMasq", "macspoofchk"])(
  "%s written as a string is refused, not guessed at",
  (key) => {
    expect(refusal(() => read({ [key]: "true" }))).toEqual({
      code: 6,
      message: `cannot decode ${key}: expected true or false, got the string "true"`,
    })
  },
)

describe("vlan", () => {
  test.each([-100, -1, 4095, 5000])("%i is refused", (vlan) => {
    expect(refusal(() => read({ vlan }))).toEqual({
      code: 7,
      message: `invalid network config: vlan: invalid VLAN ID ${vlan} (must be between 0 and 4094)`,
    })
  })

  test.each([0, 1, 4094])("%i is taken", (vlan) => {
    expect(read({ vlan }).vlan).toBe(vlan)
  })
})

describe("vlanTrunk", () => {
  test.each<[string, object[], number[]]>([
    ["nothing", [], []],
    ["an entry without any id", [{}], []],
    ["a range", [{ minID: 10, maxID: 12 }], [10, 11, 12]],
    ["a range of one", [{ minID: 10, maxID: 10 }], [10]],
    ["a single id", [{ id: 7 }], [7]],
    ["a range and an id in one entry", [{ minID: 10, maxID: 11, id: 5 }], [5, 10, 11]],
    [
      "overlapping entries, ascending, each once",
      [{ minID: 200, maxID: 202 }, { id: 201 }, { id: 101 }],
      [101, 200, 201, 202],
    ],
    ["ids in numerical, not alphabetical, order", [{ id: 1000 }, { id: 9 }, { id: 20 }], [9, 20, 1000]],
    ["the bounds", [{ minID: 4093, maxID: 4094 }, { id: 1 }], [1, 4093, 4094]],
    ["null for what is absent", [{ minID: null, maxID: null, id: 3 }], [3]],
  ])("carries %s", (_, vlanTrunk, expected) => {
    expect(read({ vlanTrunk }).vlanTrunk).toEqual(expected)
  })

  test("every VLAN there is may be carried", () => {
    expect(read({ vlanTrunk: [{ minID: 1, maxID: 4094 }] }).vlanTrunk?.length).toBe(4094)
  })

  test("absent or null is not the same as empty, which asks for VLAN filtering", () => {
    expect(read({ vlanTrunk: null }).vlanTrunk).toBeUndefined()
    expect(read({ vlanTrunk: [] }).vlanTrunk).toEqual([])
  })

  const between = "(must be between 1 and 4094)"
  test.each<[object, string]>([
    [{ minID: 0, maxID: 10 }, `vlanTrunk[1].minID: incorrect trunk minID parameter 0 ${between}`],
    [{ minID: -1, maxID: 10 }, `vlanTrunk[1].minID: incorrect trunk minID parameter -1 ${between}`],
    [{ minID: 4095, maxID: 4096 }, `vlanTrunk[1].minID: incorrect trunk minID parameter 4095 ${between}`],
    [{ minID: 10, maxID: 0 }, `vlanTrunk[1].maxID: incorrect trunk maxID parameter 0 ${between}`],
    [{ minID: 10, maxID: 4095 }, `vlanTrunk[1].maxID: incorrect trunk maxID parameter 4095 ${between}`],
    [{ minID: 11, maxID: 10 }, "vlanTrunk[1]: minID is greater than maxID in trunk parameter"],
    [{ maxID: 10 }, "vlanTrunk[1].minID: minID and maxID should be configured simultaneously, minID is missing"],
    [{ minID: 10 }, "vlanTrunk[1].maxID: minID and maxID should be configured simultaneously, maxID is missing"],
    [{ id: 0 }, `vlanTrunk[1].id: incorrect trunk id parameter 0 ${between}`],
    [{ id: -3 }, `vlanTrunk[1].id: incorrect trunk id parameter -3 ${between}`],
    [{ id: 4095 }, `vlanTrunk[1].id: incorrect trunk id parameter 4095 ${between}`],
    [{ minID: 10, maxID: 11, id: 4095 }, `vlanTrunk[1].id: incorrect trunk id parameter 4095 ${between}`],
  ])("refuses %j", (entry, problem) => {
    expect(refusal(() => read({ vlanTrunk: [{ id: 1 }, entry] }))).toEqual({
      code: 7,
      message: `invalid network config: ${problem}`,
    })
  })

  test.each<[unknown, string]>([
    [{ id: 1 }, "vlanTrunk: expected a list, got an object"],
    [[5], "vlanTrunk[0]: expected an object, got the number 5"],
    [[null], "vlanTrunk[0]: expected an object, got null"],
    [[{ id: "5" }], 'vlanTrunk[0].id: expected a whole number, got the string "5"'],
    [[{ id: 1.5 }], "vlanTrunk[0].id: expected a whole number, got the number 1.5"],
  ])("cannot be read from %j", (vlanTrunk, problem) => {
    expect(refusal(() => read({ vlanTrunk }))).toEqual({ code: 6, message: `cannot decode ${problem}` })
  })
})

describe("what contradicts itself is refused", () => {
  test("hairpin and promiscuous mode", () => {
    expect(refusal(() => read({ hairpinMode: true, promiscMode: true }))).toEqual({
      code: 7,
      message: "invalid network config: hairpinMode: cannot set hairpin mode and promiscuous mode at the same time",
    })
    expect(read({ hairpinMode: true, promiscMode: false }).hairpinMode).toBe(true)
  })

  test("addresses for an interface that stays down", () => {
    expect(refusal(() => read({ disableContainerInterface: true, ipam: { type: "host-local" } }))).toEqual({
      code: 7,
      message:
        "invalid network config: disableContainerInterface: cannot use IPAM when DisableContainerInterface flag is set",
    })
    expect(read({ disableContainerInterface: true, ipam: {} }).disableContainerInterface).toBe(true)
  })
})

describe("ipMasq", () => {
  const ipam = { type: "host-local" }
  const masq = (config: object) => read({ ipMasq: true, ipam, ...config }).ipMasq

  test("needs addresses; a backend that is not named is either", () => {
    expect([masq({}), masq({ ipMasqBackend: "" }), masq({ ipMasqBackend: null })]).toEqual(Array(3).fill("either"))
    expect(masq({ ipMasqBackend: "nftables" })).toBe("nftables")
    expect(masq({ ipMasqBackend: "iptables" })).toBe("iptables")
    expect([masq({ ipMasq: false }), masq({ ipam: {} })]).toEqual([undefined, undefined])
  })

  test.each(["pf", "either", "IPTABLES"])(
    "by the backend %j is refused, unless nothing is to be masqueraded",
    (name) => {
      expect(refusal(() => masq({ ipMasqBackend: name }))).toEqual({
        code: 7,
        message: `invalid network config: ipMasqBackend: unknown backend ${JSON.stringify(name)}`,
      })
      expect(masq({ ipMasq: false, ipMasqBackend: name })).toBeUndefined()
    },
  )
})

describe("mtu", () => {
  test.each([-1, 0x80000000])("%i is refused", (mtu) => {
    expect(refusal(() => read({ mtu })).code).toBe(7)
  })
})

describe("dns", () => {
  const none = { nameservers: [], domain: "", search: [], options: [] }

  test.each([[{}], [{ domain: "" }], [{ nameservers: null }], [{ unknown: true }], [null]])(
    "%j leaves it to IPAM",
    (dns) => {
      expect(read({ dns }).dns).toBeUndefined()
    },
  )

  test.each<[object, object]>([
    [{ nameservers: [] }, none],
    [{ search: [] }, none],
    [{ options: [] }, none],
    [{ domain: "cluster.local" }, { ...none, domain: "cluster.local" }],
    [{ nameservers: ["10.0.0.10"] }, { ...none, nameservers: ["10.0.0.10"] }],
  ])("%j replaces what IPAM says as a whole", (dns, expected) => {
    expect(read({ dns }).dns).toEqual(expected)
  })
})

describe("the MAC address asked for", () => {
  const [first, second, third] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"]
  const requested = (config: object, args = "") => {
    const environment = {
      command: "ADD",
      containerId: "c",
      netns: "/n",
      ifname: "eth0",
      args,
      path: [],
      netnsOverride: false,
    }
    const call: Call = { environment, config: network(config), log: silentLog, siblings: {} }
    const mac = readRequestedMac(call)
    return mac && formatMac(mac)
  }

  test("runtimeConfig comes before args, args before CNI_ARGS", () => {
    const [runtimeConfig, args] = [{ mac: first }, { cni: { mac: second } }]
    expect(requested({ runtimeConfig, args }, `MAC=${third}`)).toBe(first)
    expect(requested({ args }, `MAC=${third}`)).toBe(second)
    expect(requested({}, `MAC=${third}`)).toBe(third)
    expect(requested({})).toBeUndefined()
  })

  test("the key may be spelled RuntimeConfig", () => {
    expect(requested({ RuntimeConfig: { MAC: first } }, `MAC=${third}`)).toBe(first)
  })

  test("an empty one does not count", () => {
    expect(requested({ runtimeConfig: { mac: "" }, args: { cni: { mac: second } } })).toBe(second)
  })

  test("one that is none is refused by the name of its source", () => {
    expect(refusal(() => requested({ runtimeConfig: { mac: "02:00" } }))).toEqual({
      code: 7,
      message: 'invalid network config: runtimeConfig.mac: "02:00" is not a MAC address',
    })
    expect(refusal(() => requested({}, "MAC=x")).message).toBe(
      'invalid network config: CNI_ARGS MAC: "x" is not a MAC address',
    )
  })

  test("unknown CNI_ARGS are refused unless they are to be ignored", () => {
    expect(refusal(() => requested({}, "K8S_POD_NAME=pod")).code).toBe(4)
    expect(requested({}, `IgnoreUnknown=1;K8S_POD_NAME=pod;MAC=${third}`)).toBe(third)
  })
})
