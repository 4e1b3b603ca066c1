import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, filters, ifbs, LimitedPod, NETWORK, qdiscs } from "./limited.ts"

/** This machine's kernel may have no act_police; the tests of policing run in a VM. */
const IFB = { egressMode: "ifb" }
const INGRESS = { ingressRate: 8000, ingressBurst: 80 }
const EGRESS = { egressRate: 16, egressBurst: 9 }
/** sha512("podnet" + container id), as the Go plugin names it. */
const IFB_NAME = /^bwp[0-9a-f]{12}$/

describe("ADD", () => {
  test("limits both directions: a token bucket on the host veth, another on an ifb that all traffic of the pod goes through", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const result = limited.add({ ...IFB, ...INGRESS, ...EGRESS })
    expect(qdiscs(node, "veth0")).toMatchObject([
      { kind: "tbf", handle: "1:", root: true, options: { rate: 1000, burst: 10, lat: 25000 } },
      { kind: "ingress", handle: "ffff:", parent: "ffff:fff1" },
    ])
    const [ifb = "none", ...others] = ifbs(node)
    expect(others).toEqual([])
    expect(ifb).toMatch(IFB_NAME)
    expect(qdiscs(node, ifb)).toMatchObject([{ kind: "tbf", handle: "1:", root: true, options: { rate: 2, burst: 1 } }])
    expect(node.link(ifb)).toMatchObject({
      mtu: 1400,
      flags: expect.arrayContaining(["UP"]),
      ifalias: `cni-ts ${NETWORK} ${limited.pod.containerId} eth0`,
    })
    expect(filters(node, "veth0")).toMatch(
      new RegExp(`match 00000000/00000000 at 0 action order 1: mirred \\(Egress Redirect to device ${ifb}\\) stolen$`),
    )
    expect(filters(node, "veth0")).toContain("protocol all pref 1 u32")
    expect(result).toEqual({
      ...limited.prevResult,
      dns: result.dns,
      interfaces: [...(limited.prevResult.interfaces ?? []), { name: ifb, mac: node.link(ifb)?.address }],
    })
  })

  test("limits one direction alone", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const ingress = limited.add(INGRESS)
    expect(ingress.interfaces).toEqual(limited.prevResult.interfaces)
    expect(ifbs(node)).toEqual([])
    expect(qdiscs(node, "veth0")).toMatchObject([{ kind: "tbf", options: { rate: 1000, lat: 25000 } }])

    const other = new LimitedPod(node, { veth: "veth1" })
    expect(other.add({ ...IFB, ...EGRESS }).interfaces).toHaveLength(3)
    expect(ifbs(node)).toHaveLength(1)
    expect(qdiscs(node, "veth1")).toMatchObject([{ kind: "ingress" }])
  })

  test.each<[string, Config]>([
    ["nothing", {}],
    ["zeros", { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 }],
    ["an empty runtimeConfig", { runtimeConfig: { bandwidth: {} } }],
    ["unknown keys and those of v1.5", { unshapedSubnets: ["10.0.0.0/8"], shapedSubnets: [] }],
  ])("passes the result on where it is asked for %s", (_, config) => {
    using node = new Node()
    const limited = new LimitedPod(node)
    expect(limited.add(config).interfaces).toEqual(limited.prevResult.interfaces)
    expect([...qdiscs(node, "veth0"), ...ifbs(node)]).toEqual([])
  })

  test("takes the runtime's limits, whatever the case of their keys, unless the network sets any", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const runtimeConfig = {
      bandWidth: { IngressRate: 8000, IngressBurst: 16000, EgressRate: 16000, EgressBurst: 16000 },
    }
    expect(limited.add({ ...IFB, runtimeConfig }).interfaces?.[2]).toMatchObject({
      name: expect.stringMatching(IFB_NAME),
    })
    expect(qdiscs(node, "veth0")).toMatchObject([{ options: { rate: 1000, burst: 2000 } }, {}])

    const other = new LimitedPod(node, { veth: "veth1" })
    other.add({ ...INGRESS, runtimeConfig })
    expect(qdiscs(node, "veth1")).toMatchObject([{ kind: "tbf", options: { rate: 1000, burst: 10 } }])
    const invalid = other.call("ADD", { ingressRate: 0, ingressBurst: 123, runtimeConfig })
    expect(invalid.error).toMatchObject({
      code: 7,
      msg: expect.stringContaining("if burst is set, rate must also be set"),
    })
  })

  test("chooses among several host interfaces the one that is the pod's", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const other = new LimitedPod(node, { veth: "veth1" })
    const interfaces = [...(other.prevResult.interfaces ?? []), ...(limited.prevResult.interfaces ?? [])]
    const result = limited.add({ ...IFB, ...INGRESS, ...EGRESS, prevResult: { ...limited.prevResult, interfaces } })
    expect(result.interfaces).toHaveLength(5)
    expect(result.interfaces?.[4]?.name).toMatch(IFB_NAME)
    expect(qdiscs(node, "veth0")).toHaveLength(2)
    expect(qdiscs(node, "veth1")).toEqual([])
  })

  test("sets the limits anew when it is done again; the reference fails with 'file exists'", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    limited.add({ ...IFB, ...INGRESS, ...EGRESS })
    const again = { ...IFB, ...INGRESS, ingressRate: 80_000, egressRate: 1600, egressBurst: 80 }
    const result = limited.add(again)
    expect(ifbs(node)).toHaveLength(1)
    expect(qdiscs(node, "veth0")).toMatchObject([{ options: { rate: 10_000 } }, { kind: "ingress" }])
    expect(qdiscs(node, ifbs(node)[0] ?? "")).toMatchObject([{ options: { rate: 200, burst: 10 } }])
    expect(filters(node, "veth0").match(/mirred/g)).toHaveLength(1)
    expect(limited.check(again, result).stdout).toBe("")
  })

  test("keeps the ifbs of a container's two interfaces on one network apart; the reference fails with 'file exists'", () => {
    using node = new Node()
    const first = new LimitedPod(node)
    const second = new LimitedPod(node, { pod: first.pod, veth: "veth1", ifname: "net1" })
    const config = { ...IFB, ...EGRESS }
    const results = [first.add(config), second.add(config)]
    expect(new Set(ifbs(node)).size).toBe(2)
    expect(second.check(config, results[1] ?? {}).stdout).toBe("")
    expect(second.del(config).stdout).toBe("")
    expect(first.check(config, results[0] ?? {}).stdout).toBe("")
    expect(first.del(config).stdout).toBe("")
    expect(ifbs(node)).toEqual([])
  })

  test("of a container's second interface leaves the ifb that the reference made for the first, and so does DEL", () => {
    using node = new Node()
    const first = new LimitedPod(node)
    const second = new LimitedPod(node, { pod: first.pod, veth: "veth1", ifname: "net1" })
    const config = { ...IFB, ...EGRESS }
    const results = [first.add(config, "reference"), second.add(config)]
    expect(second.check(config, results[1] ?? {}).stdout).toBe("")
    expect(first.check(config, results[0] ?? {}).stdout).toBe("")
    expect(second.del(config).stdout).toBe("")
    expect(first.check(config, results[0] ?? {}).stdout).toBe("")
    expect(first.del(config).stdout).toBe("")
    expect(ifbs(node)).toEqual([])
  })

  test("takes the place of what the reference made for the interface", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const config = { ...IFB, ...EGRESS }
    limited.add(config, "reference")
    const result = limited.add(config)
    expect(ifbs(node)).toHaveLength(1)
    expect(limited.check(config, result).stdout).toBe("")
  })

  test("caps the burst, and lets packets wait shorter, where the network says so", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const runtimeConfig = { bandwidth: { ingressRate: 8e6, ingressBurst: 2 ** 32 - 1 } }
    limited.add({ maxBurst: 800_000, latency: 10, runtimeConfig })
    expect(qdiscs(node, "veth0")).toMatchObject([{ options: { rate: 1e6, burst: 100_000, lat: 10_000 } }])
  })

  test("counts rates beyond 32 bits of bytes", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const config = { ...IFB, ingressRate: 1e12, ingressBurst: 8e6, egressRate: 1e15, egressBurst: 8e9 }
    const result = limited.add(config)
    expect(qdiscs(node, "veth0")).toMatchObject([{ options: { rate: 125e9 } }, {}])
    expect(limited.check(config, result).stdout).toBe("")
  })
})

describe("DEL", () => {
  test("removes the ifb, without namespace, without previous result, whatever the config, and twice", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    limited.add({ ...IFB, ...EGRESS })
    for (let times = 1; times <= 2; times++) {
      const bare = { netns: "", containerId: limited.pod.containerId }
      const { exitCode, stdout } = limited.call("DEL", { prevResult: undefined, ingressRate: 1 }, bare)
      expect({ exitCode, stdout, left: ifbs(node) }).toEqual({ exitCode: 0, stdout: "", left: [] })
    }
  })

  test("leaves another network's and a stranger's devices", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    limited.add({ ...IFB, ...EGRESS })
    const [ifb = ""] = ifbs(node)
    limited.del({ name: "othernet" })
    expect(ifbs(node)).toEqual([ifb])
    output(node.inside(["ip", "link", "set", ifb, "alias", "mine"]))
    limited.del({})
    expect(ifbs(node)).toEqual([ifb])
  })
})

describe("GC", () => {
  test("removes the ifbs of attachments that are gone, killed ones among them, and no others", () => {
    using node = new Node()
    const [kept, gone, killed, elsewhere, go] = [0, 1, 2, 3, 4].map((n) => new LimitedPod(node, { veth: `veth${n}` }))
    if (!kept || !gone || !killed || !elsewhere || !go) throw new Error("no pods")
    const config = { ...IFB, ...EGRESS }
    const name = (limited: LimitedPod, more = {}) => limited.add({ ...config, ...more }).interfaces?.[2]?.name ?? ""
    const names = [name(kept), name(gone), name(killed), name(elsewhere, { name: "podnet2" })]
    names.push(go.add(config, "reference").interfaces?.[2]?.name ?? "")
    output(node.inside(["ip", "link", "set", names[2] ?? "", "alias", ""]))
    output(node.inside(["ip", "link", "add", "bwp000000000000", "type", "ifb"]))
    const valid = [{ containerID: kept.pod.containerId, ifname: "eth0" }]
    const stdin = JSON.stringify({
      cniVersion: "1.1.0",
      name: NETWORK,
      type: "bandwidth",
      "cni.dev/valid-attachments": valid,
    })
    const { exitCode, stderr } = node.call("bandwidth", { command: "GC", stdin })
    expect(exitCode).toBe(0)
    expect(stderr).toContain(names[1])
    expect(ifbs(node).sort()).toEqual([names[0], names[3], names[4], "bwp000000000000"].sort())
  })
})

test("GC leaves the ifb of another network's pod, also where its container's id is too long for the alias", () => {
  using node = new Node()
  const limited = new LimitedPod(node)
  expect(limited.call("ADD", { ...IFB, ...EGRESS }, { containerId: "c".repeat(250) }).exitCode).toBe(0)
  const before = ifbs(node)
  expect(before).toHaveLength(1)
  const config = { cniVersion: "1.1.0", name: "othernet", type: "bandwidth", "cni.dev/valid-attachments": [] }
  expect(node.call("bandwidth", { command: "GC", config })).toMatchObject({ exitCode: 0, stderr: "" })
  expect(ifbs(node)).toEqual(before)
})

describe("STATUS", () => {
  const status = (node: Node, config: object) =>
    node.call("bandwidth", {
      command: "STATUS",
      config: { cniVersion: "1.1.0", name: NETWORK, type: "bandwidth", ...config },
    })

  test("is ready, or says what is wrong with the config", () => {
    using node = new Node()
    expect(status(node, INGRESS)).toMatchObject({ exitCode: 0, stdout: "" })
    expect(status(node, { ingressRate: 8000 }).error).toMatchObject({ code: 50 })
    expect(status(node, { egressMode: "htb" }).error).toMatchObject({
      code: 50,
      msg: expect.stringContaining("egressMode"),
    })
  })
})
