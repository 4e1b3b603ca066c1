import { describe, expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { Fields } from "../../lib/cni/fields.ts"
import type { JsonObject } from "../../lib/cni/json.ts"
import { versions } from "../../lib/cni/version.ts"
import { refusalOf } from "../../lib/testing/refusal.ts"
import { readablePlaces, readFirewallConfig } from "./config.ts"

function read(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "podnet", type: "firewall", ...config })
  return readFirewallConfig(matchConfig(readConfig(new TextEncoder().encode(text)), versions))
}

const refusal = (config: object) => refusalOf(() => read(config))

const DEFAULTS = { backend: undefined, zone: "trusted", adminChain: "CNI-ADMIN", ingressPolicy: "open" }

describe("is read as the Go plugin reads it", () => {
  test.each<[object, object]>([
    [{}, DEFAULTS],
    [{ backend: "", iptablesAdminChainName: "", firewalldZone: "", ingressPolicy: "" }, DEFAULTS],
    [{ backend: "nftables" }, { ...DEFAULTS, backend: "nftables" }],
    [{ backend: "firewalld" }, { ...DEFAULTS, backend: "firewalld" }],
    [{ backend: "iptables" }, { ...DEFAULTS, backend: "iptables" }],
    [{ firewalldZone: "public" }, { ...DEFAULTS, zone: "public" }],
    [{ iptablesAdminChainName: "CNI-foobar" }, { ...DEFAULTS, adminChain: "CNI-foobar" }],
    [{ iptablesAdminChainName: "C".repeat(28) }, { ...DEFAULTS, adminChain: "C".repeat(28) }],
    [{ INGRESSPOLICY: "isolated" }, { ...DEFAULTS, ingressPolicy: "isolated" }],
    [{ ingressPolicy: "same-bridge" }, { ...DEFAULTS, ingressPolicy: "same-bridge" }],
    [{ ingressPolicy: "open" }, DEFAULTS],
  ])("%j", (config, wanted) => {
    expect(read(config)).toEqual(wanted)
  })
})

describe("is refused with a message that names the key", () => {
  test.each<[object, number, string]>([
    [{ backend: "pf" }, 7, 'invalid network config: backend: "pf" is none of iptables, nftables, firewalld'],
    [{ backend: 1 }, 6, "cannot decode backend: "],
    [{ firewalldZone: ["public"] }, 6, "cannot decode firewalldZone: "],
    [{ firewalldZone: "my zone" }, 7, 'firewalldZone: "my zone" is no name of a zone'],
    [{ firewalldZone: "a\0" }, 7, "firewalldZone: "],
    [{ firewalldZone: "z".repeat(65) }, 7, "firewalldZone: "],
    [{ ingressPolicy: "same_bridge" }, 7, 'ingressPolicy: unknown ingress policy: "same_bridge"'],
    [{ ingressPolicy: "Isolated" }, 7, 'ingressPolicy: unknown ingress policy: "Isolated"'],
    [{ iptablesAdminChainName: "C".repeat(29) }, 7, "iptablesAdminChainName: "],
    [{ iptablesAdminChainName: "-A" }, 7, "iptablesAdminChainName: "],
    [{ iptablesAdminChainName: "!x" }, 7, "iptablesAdminChainName: "],
    [{ iptablesAdminChainName: "CNI ADMIN" }, 7, "iptablesAdminChainName: "],
    [{ iptablesAdminChainName: "CNI-É" }, 7, "iptablesAdminChainName: "],
    [{ iptablesAdminChainName: "a\0" }, 7, "iptablesAdminChainName: "],
    [{ iptablesAdminChainName: "FORWARD" }, 7, "iptablesAdminChainName: FORWARD is not an administrator's chain"],
    [{ iptablesAdminChainName: "ACCEPT" }, 7, "iptablesAdminChainName: ACCEPT is not an administrator's chain"],
    [{ iptablesAdminChainName: "CNI-FORWARD" }, 7, "iptablesAdminChainName: CNI-FORWARD is not"],
    [{ iptablesAdminChainName: "CNI-ISOLATION-STAGE-2" }, 7, "iptablesAdminChainName: CNI-ISOLATION-STAGE-2 is not"],
  ])("%j", (config, code, words) => {
    const [found, message] = refusal(config)
    expect(found).toBe(code)
    expect(message).toContain(words)
  })
})

test("where rules may be is read of a configuration that makes no sense, too", () => {
  const places = (config: object) =>
    readablePlaces({
      name: "podnet",
      cniVersion: "1.1.0",
      fields: new Fields(config as JsonObject),
      bytes: new Uint8Array(),
    })
  expect(places({ backend: "firewalld", firewalldZone: "public", ingressPolicy: 1 })).toEqual({
    backend: "firewalld",
    zone: "public",
  })
  expect(places({ backend: "pf", firewalldZone: 1 })).toEqual({ backend: undefined, zone: "trusted" })
})
