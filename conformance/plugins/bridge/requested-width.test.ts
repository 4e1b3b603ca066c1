import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { type Config, hostLocal, Network } from "./network.ts"

/** Returns a gateway bridge whose user requests addresses of an IPAM plugin. */
const ask = (node: Node, ipam: Config, ips: readonly string[], more: Config = {}) =>
  new Network(node, { isGateway: true, ipam, runtimeConfig: { ips }, ...more })

const STATIC = { type: "static" }
const CONFIGURED = { ...STATIC, addresses: [{ address: "10.8.0.5/12" }, { address: "fd08::5/48" }] }

test("a requested network is led to the bridge as wide as the user likes by the reference", () => {
  using node = new Node()
  ask(node, STATIC, ["2001:db8::5/32"]).as("reference").connect(node.pod())
  expect(node.ip("-6", "route", "show", "2001:db8::/32")).toMatchObject([{ dev: "cni0" }])
})

describe("a request does not make the node lead more to the bridge than the administrator says:", () => {
  test.each<[string, Config, string[], string]>([
    ["IPv6, nothing said", STATIC, ["2001:db8::5/32"], "/64 or longer"],
    ["IPv6, nothing said, a bit too wide", STATIC, ["fd00::5/63"], "/64 or longer"],
    ["IPv4, nothing said", STATIC, ["8.8.8.9/8"], "/16 or longer"],
    ["the second of two", STATIC, ["10.1.0.5/24", "fd00::5/1"], "/64 or longer"],
    ["IPv4, wider than what is configured", CONFIGURED, ["10.8.0.9/11"], "/12 or longer"],
    ["IPv6, wider than what is configured", CONFIGURED, ["fd08::9/47"], "/48 or longer"],
  ])("%s", (_, ipam, ips, advice) => {
    using node = new Node()
    const pod = node.pod()
    const before = snapshot(node)
    const { error } = ask(node, ipam, ips).add(pod)
    expect(error).toMatchObject({ code: 7, details: expect.stringContaining(advice) })
    expect(snapshot(node)).toEqual(before)
  })

  test("by CNI_ARGS or args neither", () => {
    using node = new Node()
    const pod = node.pod()
    const network = new Network(node, { isGateway: true, ipam: STATIC })
    const args = "IgnoreUnknown=1;IP=10.1.0.5/24, fd00::5/48"
    expect(network.add(pod, { args }).error).toMatchObject({ code: 7, details: expect.stringContaining("/64") })
    const config = { args: { cni: { ips: ["10.1.0.5/15"] } } }
    expect(network.add(pod, { config }).error).toMatchObject({ code: 7, details: expect.stringContaining("/16") })
  })
})

describe("what may be requested:", () => {
  test.each<[string, (node: Node) => Network]>([
    ["networks of /16 and /64", (node) => ask(node, STATIC, ["10.1.0.5/16", "fd00::5/64"])],
    ["what is configured as wide", (node) => ask(node, CONFIGURED, ["10.8.0.9/12", "fd08::9/48"])],
    ["anything where the bridge is no gateway", (node) => ask(node, STATIC, ["10.1.0.5/8"], { isGateway: false })],
    [
      "an address of host-local's, whatever stands behind it",
      (node) => ask(node, hostLocal(node, ["10.0.0.0/8"]), ["10.1.0.5/8"]),
    ],
  ])("%s", (_, network) => {
    using node = new Node()
    const pod = node.pod()
    const result = network(node).connect(pod)
    expect(pod.addresses("eth0")).toEqual(result.ips?.map(({ address }) => address))
  })
})
