import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { hostLocal, Network as PodNetwork } from "../bridge/network.ts"
import { ptp } from "../ptp/network.ts"
import { Network } from "./network.ts"

const PAIRS = [
  { subnet: "10.1.2.6/31", first: "10.1.2.6", second: "10.1.2.7" },
  { subnet: "fd00:1:2::/127", first: "fd00:1:2::", second: "fd00:1:2::1" },
] as const

describe.each(PAIRS)("a subnet of two addresses, $subnet,", ({ subnet, first, second }) => {
  const length = subnet.slice(subnet.indexOf("/"))

  test("gives out both, and has none left then (the reference refuses it as too small)", () => {
    using node = new Node()
    const network = new Network(node, { subnet })
    expect(network.add("a").result?.ips).toEqual([{ address: `${first}${length}` }])
    expect(network.lease("b")).toBe(second)
    expect(network.add("c").error).toMatchObject({ code: 103 })
    expect(network.check("a").exitCode).toBe(0)
    expect(network.del("a").exitCode).toBe(0)
    expect(network.lease("c", { args: `IP=${first}` })).toBe(first)
    expect(network.add("d", { implementation: "reference" }).error?.msg).toContain("too small to allocate from")
  })

  test.each([
    [first, second],
    [second, first],
  ])("gives out the one that is not the gateway %s", (gateway, other) => {
    using node = new Node()
    const network = new Network(node, { subnet, gateway })
    expect(network.add("a").result?.ips).toEqual([{ address: `${other}${length}`, gateway }])
    expect(network.add("b").error).toMatchObject({ code: 103 })
  })

  test("connects two pods by ptp, which reach each other and their gateway", () => {
    using node = new Node()
    const network = ptp(node, { ipam: hostLocal(node, [subnet]) })
    const [one, two] = [node.pod(), node.pod()]
    const results = [one, two].map((pod) => ({ pod, result: network.connect(pod) }))
    for (const { pod, result } of results) {
      const [ip] = result.ips ?? []
      if (length === "/31") expect(pod.pings(ip?.gateway ?? "")).toBe(true)
      expect(node.pings(ip?.address.replace(length, "") ?? "")).toBe(true)
      expect(network.check(pod, result)).toMatchObject({ exitCode: 0, stdout: "" })
    }
    expect([one.pings(second), two.pings(first)]).toEqual([true, true])
  })

  test.each([
    ["the second by itself", {}, second, first],
    ["the first that the configuration names", { gateway: first }, first, second],
  ])("connects one pod to a bridge whose address is %s", (_, more, gateway, address) => {
    using node = new Node()
    const ipam = hostLocal(node, [], { ranges: [[{ subnet, ...more }]] })
    const network = new PodNetwork(node, { isGateway: true, ipam })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(result.ips).toMatchObject([{ address: `${address}${length}`, gateway }])
    expect(node.addresses("cni0")).toContain(`${gateway}${length}`)
    expect([pod.pings(gateway), node.pings(address)]).toEqual([true, true])
    expect(network.check(pod, result)).toMatchObject({ exitCode: 0, stdout: "" })
    expect(network.add(node.pod()).error).toMatchObject({ code: 103 })
    expect(network.del(pod)).toMatchObject({ exitCode: 0 })
  })
})

test.each(["10.1.2.7/32", "fd00::7/128"])("a subnet of one address, %s, is refused", (subnet) => {
  using node = new Node()
  const { error } = new Network(node, { subnet }).add("a")
  expect(error).toMatchObject({ code: 7, msg: expect.stringContaining("too small to allocate from") })
})
