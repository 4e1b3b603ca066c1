import { describe, expect, test } from "vitest"
import { CniError } from "../../../lib/cni/errors.ts"
import { emptyResult, type Interface, type Result } from "../../../lib/cni/result.ts"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import { formatIptablesRule } from "../../../lib/netlink/netfilter/xtables/rule.ts"
import type { FirewallConfig, IngressPolicy } from "../config.ts"
import { wantedOf } from "../demand.ts"
import { podRules, sharedRules } from "./rules.ts"

const BRIDGE: Interface = { name: "cni0", mac: "", sandbox: "" }
const POD: Interface = { name: "eth0", mac: "", sandbox: "/run/netns/pod" }

const configOf = (ingressPolicy: IngressPolicy): FirewallConfig => ({
  backend: undefined,
  zone: "trusted",
  adminChain: "CNI-ADMIN",
  ingressPolicy,
})

function resultOf(addresses: readonly string[], interfaces: readonly Interface[] = [BRIDGE, POD]): Result {
  const ips = addresses.map((text) => ({ address: parsePrefix(text) ?? expect.fail(text) }))
  return { ...emptyResult, interfaces, ips }
}

function texts(policy: IngressPolicy, addresses: readonly string[]) {
  const { demands, adminChain, policy: ofBridge } = wantedOf(configOf(policy), resultOf(addresses))
  const shared = sharedRules(adminChain, ofBridge)
  return demands.map(({ family, addresses: own }) => ({
    family,
    shared: shared.map(({ chain, rule, last }) => `${last ? "-A" : "-I"} ${chain} ${formatIptablesRule(rule)}`),
    pod: own.flatMap(podRules).map(formatIptablesRule),
  }))
}

const ADMIN = '-I CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN'

describe("a pod needs", () => {
  test("two rules for each address, as a host's own, each address once", () => {
    expect(texts("open", ["10.1.2.3/24", "fd00::3/64", "10.1.2.3/16", "10.1.2.4/24"])).toEqual([
      {
        family: 4,
        shared: [ADMIN],
        pod: [
          "-d 10.1.2.3/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
          "-s 10.1.2.3/32 -j ACCEPT",
          "-d 10.1.2.4/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
          "-s 10.1.2.4/32 -j ACCEPT",
        ],
      },
      {
        family: 6,
        shared: [ADMIN],
        pod: ["-d fd00::3/128 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-s fd00::3/128 -j ACCEPT"],
      },
    ])
  })

  test("nothing in a family of which it has no address", () => {
    expect(texts("isolated", []).length).toBe(0)
    expect(texts("isolated", ["fd00::3/64"]).map(({ family }) => family)).toEqual([6])
  })

  test("the rules of its bridge, in an order in which RETURN comes last", () => {
    const [{ shared } = expect.fail()] = texts("isolated", ["10.1.2.3/24"])
    const of = (policy: string) => `-m comment --comment "CNI firewall plugin rules (ingressPolicy: ${policy})"`
    const [stage1, stage2] = ["CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"]
    expect(shared).toEqual([
      ADMIN,
      `-I ${stage1} -i cni0 ! -o cni0 ${of("isolated")} -j ${stage2}`,
      `-I ${stage1} -i cni0 -o cni0 ${of("isolated")} -j DROP`,
      `-A ${stage1} ${of("same-bridge|isolated")} -j RETURN`,
      `-I ${stage2} -o cni0 ${of("same-bridge|isolated")} -j DROP`,
      `-A ${stage2} ${of("same-bridge|isolated")} -j RETURN`,
    ])
    const [sameBridge] = texts("same-bridge", ["10.1.2.3/24"])
    expect(sameBridge?.shared.filter((text) => text.includes("-j DROP"))).toHaveLength(1)
  })
})

describe("an ingress policy needs a bridge of the node's", () => {
  test.each<[string, readonly Interface[], string]>([
    ["no interfaces", [], 'interface needs to be set for ingress policy "isolated"'],
    [
      "a first interface without name",
      [{ ...BRIDGE, name: "" }, POD],
      'interface needs to be set for ingress policy "isolated"',
    ],
    ["the pod's own interface first", [POD, BRIDGE], 'the first interface of prevResult, "eth0", is the pod\'s own'],
  ])("not %s", (_, interfaces, words) => {
    const demand = (policy: IngressPolicy) => wantedOf(configOf(policy), resultOf(["10.1.2.3/24"], interfaces))
    expect(() => demand("isolated")).toThrow(CniError)
    expect(() => demand("isolated")).toThrow(words)
    expect(demand("open").demands).toHaveLength(1)
  })
})
