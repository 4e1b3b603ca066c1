import { describe, expect, it } from "vitest"
import { type Address, parseAddress } from "../ip/address.ts"
import { type Prefix, parsePrefix } from "../ip/prefix.ts"
import { emptyResult, noDns, type Result } from "./result.ts"
import { assertExpressible, printResult } from "./result-print.ts"
import { type Version, versions } from "./version.ts"

function ip(text: string): Address {
  const address = parseAddress(text)
  if (!address) throw new Error(text)
  return address
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text)
  if (!parsed) throw new Error(text)
  return parsed
}

const full: Result = {
  interfaces: [
    { name: "cni0", mac: "02:00:00:00:00:01", sandbox: "" },
    {
      name: "eth0",
      mac: "02:00:00:00:00:02",
      mtu: 1450,
      sandbox: "/run/netns/a&b",
      socketPath: "/run/s",
      pciID: "0000:00:1f.6",
    },
    { name: "", mac: "", sandbox: "", mtu: 0, socketPath: "", pciID: "" },
  ],
  ips: [
    { interface: 0, address: prefix("10.1.2.3/24"), gateway: ip("10.1.2.1") },
    { interface: 1, address: prefix("2001:db8:0:0:1:0:0:1/64") },
    { address: prefix("10.1.9.9/16") },
  ],
  routes: [
    { dst: prefix("0.0.0.0/0"), mtu: 0, advmss: 0, priority: 0 },
    { dst: prefix("10.9.0.0/16"), gw: ip("10.1.2.254"), mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 253 },
    { dst: prefix("::/0"), gw: ip("fe80::1"), table: 100 },
  ],
  dns: { nameservers: ["10.0.0.53"], domain: "example.org", search: ["a.example", "b.example"], options: ["ndots:5"] },
}

/** The bytes that the Go library prints for the same result, in one version of each shape. */
const early = `{
    "cniVersion": "0.2.0",
    "ip4": {
        "ip": "10.1.2.3/24",
        "gateway": "10.1.2.1",
        "routes": [
            {
                "dst": "0.0.0.0/0"
            },
            {
                "dst": "10.9.0.0/16",
                "gw": "10.1.2.254"
            }
        ]
    },
    "ip6": {
        "ip": "2001:db8::1:0:0:1/64",
        "routes": [
            {
                "dst": "::/0",
                "gw": "fe80::1"
            }
        ]
    },
    "dns": {
        "nameservers": [
            "10.0.0.53"
        ],
        "domain": "example.org",
        "search": [
            "a.example",
            "b.example"
        ],
        "options": [
            "ndots:5"
        ]
    }
}`

const rich = `{
    "cniVersion": "0.4.0",
    "interfaces": [
        {
            "name": "cni0",
            "mac": "02:00:00:00:00:01"
        },
        {
            "name": "eth0",
            "mac": "02:00:00:00:00:02",
            "sandbox": "/run/netns/a\\u0026b"
        },
        {
            "name": ""
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 0,
            "address": "10.1.2.3/24",
            "gateway": "10.1.2.1"
        },
        {
            "version": "6",
            "interface": 1,
            "address": "2001:db8::1:0:0:1/64"
        },
        {
            "version": "4",
            "address": "10.1.9.9/16"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        },
        {
            "dst": "10.9.0.0/16",
            "gw": "10.1.2.254",
            "mtu": 1400,
            "advmss": 1360,
            "priority": 5,
            "table": 0,
            "scope": 253
        },
        {
            "dst": "::/0",
            "gw": "fe80::1",
            "table": 100
        }
    ],
    "dns": {
        "nameservers": [
            "10.0.0.53"
        ],
        "domain": "example.org",
        "search": [
            "a.example",
            "b.example"
        ],
        "options": [
            "ndots:5"
        ]
    }
}`

const modern = `{
    "cniVersion": "1.1.0",
    "dns": {
        "domain": "example.org",
        "nameservers": [
            "10.0.0.53"
        ],
        "options": [
            "ndots:5"
        ],
        "search": [
            "a.example",
            "b.example"
        ]
    },
    "interfaces": [
        {
            "mac": "02:00:00:00:00:01",
            "name": "cni0"
        },
        {
            "mac": "02:00:00:00:00:02",
            "mtu": 1450,
            "name": "eth0",
            "pciID": "0000:00:1f.6",
            "sandbox": "/run/netns/a\\u0026b",
            "socketPath": "/run/s"
        },
        {
            "name": ""
        }
    ],
    "ips": [
        {
            "address": "10.1.2.3/24",
            "gateway": "10.1.2.1",
            "interface": 0
        },
        {
            "address": "2001:db8::1:0:0:1/64",
            "interface": 1
        },
        {
            "address": "10.1.9.9/16"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        },
        {
            "advmss": 1360,
            "dst": "10.9.0.0/16",
            "gw": "10.1.2.254",
            "mtu": 1400,
            "priority": 5,
            "scope": 253,
            "table": 0
        },
        {
            "dst": "::/0",
            "gw": "fe80::1",
            "table": 100
        }
    ]
}`

const printedByGo: [Version, string][] = [
  ["0.1.0", early.replace("0.2.0", "0.1.0")],
  ["0.2.0", early],
  ["0.3.0", rich.replace("0.4.0", "0.3.0")],
  ["0.3.1", rich.replace("0.4.0", "0.3.1")],
  ["0.4.0", rich],
  ["1.0.0", modern.replace("1.1.0", "1.0.0")],
  ["1.1.0", modern],
]

describe("printResult", () => {
  it.each(printedByGo)("prints the bytes of the Go library for %s", (version, bytes) => {
    expect(printResult(full, version)).toBe(bytes)
  })

  it("prints a result without anything in it", () => {
    expect(printResult(emptyResult, "1.1.0")).toBe(`{
    "cniVersion": "1.1.0"
}`)
    expect(printResult(emptyResult, "0.4.0")).toBe(`{
    "cniVersion": "0.4.0",
    "dns": {}
}`)
  })

  it("prints a result of interfaces alone", () => {
    const result = { ...emptyResult, interfaces: [{ name: "eth0", mac: "", sandbox: "/run/netns/pod" }] }
    expect(printResult(result, "0.3.0")).toBe(`{
    "cniVersion": "0.3.0",
    "interfaces": [
        {
            "name": "eth0",
            "sandbox": "/run/netns/pod"
        }
    ],
    "dns": {}
}`)
  })

  it("drops the routes of a family that has no address in 0.1.0 and 0.2.0", () => {
    const result = { ...emptyResult, ips: [{ address: prefix("fd00::1/64") }], routes: [{ dst: prefix("0.0.0.0/0") }] }
    expect(printResult(result, "0.1.0")).toBe(`{
    "cniVersion": "0.1.0",
    "ip6": {
        "ip": "fd00::1/64"
    },
    "dns": {}
}`)
  })

  it.each([
    { ...noDns, nameservers: ["10.0.0.53"] },
    { ...noDns, domain: "example.org" },
    { ...noDns, search: ["example.org"] },
    { ...noDns, options: ["ndots:5"] },
  ])("prints dns in every version once it holds anything: %j", (dns) => {
    const printed = JSON.parse(printResult({ ...emptyResult, dns }, "1.1.0"))
    const [[key, value] = []] = Object.entries(dns).filter(([, held]) => held.length > 0)
    expect(printed.dns).toEqual({ [String(key)]: value })
  })

  it.each(versions)("ends without a newline and holds no half-known value in %s", (version) => {
    const bytes = printResult(full, version)
    expect(bytes.endsWith("}")).toBe(true)
    expect(bytes).not.toMatch(/null|undefined|NaN|\[object/)
  })

  it.each(["0.1.0", "0.2.0"] as const)("fails for %s when there is no address", (version) => {
    const result = { ...full, ips: [] }
    expect(() => printResult(result, version)).toThrow(
      expect.objectContaining({
        code: 1,
        message: `cannot convert: no valid IP addresses, which a result of CNI ${version} needs`,
      }),
    )
  })
})

describe("assertExpressible", () => {
  it.each(versions)("knows before anything is done whether %s can say it without addresses", (version) => {
    const printing = () => printResult({ ...full, ips: [] }, version)
    const asserting = () => assertExpressible(version, false)
    if (version === "0.1.0" || version === "0.2.0") {
      expect(printing).toThrow("no valid IP addresses")
      expect(asserting).toThrow("no valid IP addresses")
    } else {
      expect(printing).not.toThrow()
      expect(asserting).not.toThrow()
    }
    expect(() => assertExpressible(version, true)).not.toThrow()
  })
})
