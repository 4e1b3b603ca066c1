import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { type Config, filters, ifbs, LimitedPod, NETWORK, qdiscs } from "./limited.ts"

const FULL = { egressMode: "ifb", ingressRate: 8000, ingressBurst: 8000, egressRate: 8000, egressBurst: 8000 }

/** Everything that ADD might leave. */
function traces(node: Node) {
  return { node: snapshot(node), qdiscs: qdiscs(node, "veth0"), filters: filters(node, "veth0"), ifbs: ifbs(node) }
}

describe("a config is refused, and nothing is left", () => {
  test.each<[string, Config, number, string]>([
    ["ingress rate without burst", { ingressRate: 1 }, 7, "if rate is set, burst must also be set"],
    ["ingress burst without rate", { ingressBurst: 8 }, 7, "if burst is set, rate must also be set"],
    ["egress rate without burst", { egressRate: 1 }, 7, "if rate is set, burst must also be set"],
    ["egress burst without rate", { egressBurst: 1 }, 7, "if burst is set, rate must also be set"],
    ["4 GiB of burst", { ingressRate: 8, ingressBurst: 2 ** 32 * 8 }, 7, "burst cannot be more than 4GB"],
    ["just 4 GiB - 1 of burst", { ingressRate: 8, ingressBurst: 2 ** 32 * 8 - 8 }, 7, "burst cannot be more than 4GB"],
    ["a rate below 8 bit/s", { egressRate: 7, egressBurst: 80 }, 7, "egressRate"],
    ["a burst below 8 bits", { egressRate: 80, egressBurst: 7 }, 7, "egressBurst"],
    ["a negative rate", { ingressRate: -8, ingressBurst: 80 }, 7, "ingressRate"],
    ["a fraction", { ingressRate: 8.5, ingressBurst: 80 }, 6, "ingressRate"],
    ["text", { ingressRate: "10M", ingressBurst: 80 }, 6, 'expected a whole number, got the string "10M"'],
    [
      "the runtime's text",
      { runtimeConfig: { bandwidth: { ingressRate: "8" } } },
      6,
      "runtimeConfig.bandwidth.ingressRate",
    ],
    ["limits that are no object", { runtimeConfig: { bandwidth: 8 } }, 6, "runtimeConfig.bandwidth"],
    ["an egress mode that there is not", { ...FULL, egressMode: "htb" }, 7, "none of auto, police, ifb"],
    ["a latency of 0", { ...FULL, latency: 0 }, 7, "latency"],
    ["a maximal burst of 0", { ...FULL, maxBurst: 0 }, 7, "maxBurst"],
  ])("%s", (_, config, code, message) => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const before = traces(node)
    for (const command of ["ADD", "CHECK"]) {
      expect(limited.call(command, config).error).toMatchObject({ code, msg: expect.stringContaining(message) })
    }
    expect(limited.del(config)).toMatchObject({ exitCode: 0, stdout: "" })
    expect(traces(node)).toEqual(before)
  })

  test("2^64 bit/s", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const config = JSON.stringify(limited.asCall("ADD", FULL).config).replace(
      '"ingressRate":8000',
      '"ingressRate":18446744073709551616',
    )
    const { error } = node.call("bandwidth", { ...limited.asCall("ADD", FULL), stdin: config })
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining("18446744073709551616 is not between") })
    expect(ifbs(node)).toEqual([])
  })

  test("the greatest burst there is passes", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    expect(limited.add({ ingressRate: 8, ingressBurst: 2 ** 32 * 8 - 16 }).interfaces).toHaveLength(2)
  })
})

describe("without what it needs ADD says so, and leaves nothing", () => {
  test("no previous result: the reference crashes where nothing is to be limited", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const none = { prevResult: undefined }
    for (const config of [FULL, {}]) {
      const { error, exitCode } = limited.call("ADD", { ...config, ...none })
      expect({ exitCode, error }).toMatchObject({
        exitCode: 1,
        error: { msg: expect.stringContaining("must be called as chained plugin") },
      })
    }
    expect(limited.call("CHECK", { ...FULL, ...none }).error?.msg).toContain("Required prevResult missing")
  })

  test("a previous result that lists no interfaces, or not the pod's", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const before = traces(node)
    const given = (interfaces: object[]) =>
      limited.call("ADD", { ...FULL, prevResult: { ...limited.prevResult, interfaces } })
    expect(given([]).error?.msg).toContain("no interfaces provided")
    const stranger = { name: "vethX", mac: "02:00:00:00:00:99" }
    expect(given([stranger]).error?.msg).toContain("no veth peer of container interface found in host ns")
    const inPod = { name: "veth0", mac: "02:00:00:00:00:11", sandbox: limited.pod.path }
    expect(given([inPod]).error?.msg).toContain("no veth peer of container interface found in host ns")
    expect(traces(node)).toEqual(before)
  })

  test("a pod interface that is no veth, or not there", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    output(node.inside(["ip", "link", "add", "link", "veth0", "name", "mac0", "type", "macvlan"]))
    output(node.inside(["ip", "link", "set", "mac0", "netns", limited.pod.name]))
    const before = traces(node)
    expect(limited.call("ADD", FULL, { ifname: "mac0" }).error).toMatchObject({
      code: 102,
      msg: "container interface mac0 has no veth peer: it is of kind macvlan",
    })
    expect(limited.call("ADD", FULL, { ifname: "net7" }).error?.msg).toContain("net7 does not exist")
    expect(traces(node)).toEqual(before)
  })

  test("a name for the ifb that something else has", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const ifb = limited.add(FULL).interfaces?.[2]?.name ?? ""
    limited.del(FULL)
    output(node.inside(["tc", "qdisc", "del", "dev", "veth0", "root"]))
    output(node.inside(["tc", "qdisc", "del", "dev", "veth0", "ingress"]))
    output(node.inside(["ip", "link", "add", ifb, "type", "bridge"]))
    const before = traces(node)
    expect(limited.call("ADD", FULL).error).toMatchObject({
      code: 102,
      msg: `interface ${ifb} is in the way: it is no ifb`,
    })
    expect(limited.del(FULL).exitCode).toBe(0)
    expect(traces(node)).toEqual(before)
  })

  test.each([
    ["a token bucket", "root handle 7: tbf rate 1mbit burst 10k latency 10ms", "root: tbf 7:"],
    ["the handle that ours has", "root handle 1: pfifo limit 50", "root: pfifo 1:"],
    ["what takes the place of an ingress qdisc", "clsact", "ingress: clsact ffff:"],
  ])("a qdisc of somebody else's: %s", (_, qdisc, found) => {
    using node = new Node()
    const limited = new LimitedPod(node)
    output(node.inside(["tc", "qdisc", "add", "dev", "veth0", ...qdisc.split(" ")]))
    const before = traces(node)
    for (const egressMode of ["auto", "ifb"]) {
      expect(limited.call("ADD", { ...FULL, egressMode }).error).toMatchObject({
        code: 102,
        msg: `veth0 has a qdisc of others at its ${found}`,
        details: expect.stringContaining("tc qdisc del dev veth0"),
      })
      expect(traces(node)).toEqual(before)
    }
  })

  test("a filter of somebody else's in the place of ours", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    output(node.inside(["tc", "qdisc", "add", "dev", "veth0", "ingress"]))
    const filter = ["protocol", "all", "prio", "1", "bpf", "bytecode", "1,6 0 0 4294967295", "classid", "1:1"]
    output(node.inside(["tc", "filter", "add", "dev", "veth0", "parent", "ffff:", ...filter]))
    const before = traces(node)
    expect(limited.call("ADD", FULL).error).toMatchObject({ code: 100 })
    expect(traces(node)).toEqual(before)
  })

  test.each(["0.1.0", "0.2.0"])("version %s, whose results have no interfaces", (cniVersion) => {
    using node = new Node()
    expect(new LimitedPod(node).call("ADD", { ...FULL, cniVersion }).error?.code).toBe(1)
  })
})

describe("CHECK names what is no longer as ADD left it", () => {
  const spoilt: readonly [string, (node: Node, ifb: string) => string[][], string | RegExp][] = [
    [
      "a rate towards the pod",
      () => [tbf("veth0", "9kbit", "1000", "2000")],
      "rate of the token bucket of veth0 is 1125 bytes/s, not 1000",
    ],
    ["a burst", () => [tbf("veth0", "8kbit", "900", "1025")], "buffer of the token bucket of veth0"],
    [
      "a queue",
      () => [tbf("veth0", "8kbit", "1000", "9999")],
      "limit of the token bucket of veth0 is 9999 bytes, not 1025",
    ],
    ["no token bucket", () => [["tc", "qdisc", "del", "dev", "veth0", "root"]], "veth0 has no token bucket"],
    [
      "another qdisc first: the reference calls that well",
      () => [["tc", "qdisc", "replace", "dev", "veth0", "root", "handle", "5:", "pfifo_fast"]],
      "the root qdisc of veth0 is pfifo_fast, not tbf",
    ],
    [
      "no ingress qdisc: the reference does not look",
      () => [["tc", "qdisc", "del", "dev", "veth0", "ingress"]],
      "veth0 has no filter",
    ],
    [
      "no filter: the reference does not look",
      () => [["tc", "filter", "del", "dev", "veth0", "ingress"]],
      "veth0 has no filter",
    ],
    [
      "a filter for IPv4 alone",
      (_, ifb) => [["tc", "filter", "del", "dev", "veth0", "ingress"], redirection("ip", ifb)],
      "veth0 has no filter",
    ],
    [
      "a redirection elsewhere",
      () => [["tc", "filter", "del", "dev", "veth0", "ingress"], redirection("all", "lo")],
      /redirected to link 1, not to bwp/,
    ],
    [
      "a rate from the pod",
      (_, ifb) => [tbf(ifb, "9kbit", "1000", "2000")],
      /rate of the token bucket of bwp\w+ is 1125/,
    ],
    ["an ifb that is down", (_, ifb) => [["ip", "link", "set", ifb, "down"]], /bwp\w+ is down/],
    ["no ifb", (_, ifb) => [["ip", "link", "del", ifb]], "get ifb device: it is gone"],
    ["no host veth", () => [["ip", "link", "del", "veth0"]], "container interface eth0 does not exist"],
  ]

  test.each(spoilt)("%s", (_, spoil, message) => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const result = limited.add(FULL)
    expect(limited.check(FULL, result)).toMatchObject({ exitCode: 0, stdout: "" })
    for (const argv of spoil(node, ifbs(node)[0] ?? "")) output(node.inside(argv))
    expect(limited.check(FULL, result).error?.msg).toMatch(message)
    expect(limited.del(FULL)).toMatchObject({ exitCode: 0, stdout: "" })
  })

  test("a limit where the config wants none", () => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const result = limited.add(FULL)
    const { ingressRate: _, ingressBurst: __, ...egressOnly } = FULL
    expect(limited.check(egressOnly, result).error).toMatchObject({
      code: 104,
      msg: expect.stringContaining("veth0 has a token bucket"),
    })
    const ingressOnly = { ingressRate: 8000, ingressBurst: 8000 }
    expect(limited.check(ingressOnly, result).error?.msg).toContain("though the config does not limit it")
    expect(limited.check({}, result), "without limits nothing is looked at").toMatchObject({ exitCode: 0, stdout: "" })
    expect(limited.check({ ...FULL, egressMode: "police" }, result).error?.msg).toContain(
      "is limited by redirect, not by police",
    )
  })

  function redirection(protocol: string, to: string): string[] {
    const match = `protocol ${protocol} prio 1 u32 match u32 0 0`
    return `tc filter add dev veth0 ingress ${match} action mirred egress redirect dev ${to}`.split(" ")
  }

  function tbf(link: string, rate: string, burst: string, limit: string): string[] {
    return [
      "tc",
      "qdisc",
      "replace",
      "dev",
      link,
      "root",
      "handle",
      "1:",
      "tbf",
      "rate",
      rate,
      "burst",
      burst,
      "limit",
      limit,
    ]
  }
})

test("what GC and STATUS are asked below 1.1.0 is refused", () => {
  using node = new Node()
  for (const command of ["GC", "STATUS"]) {
    const config = { cniVersion: "1.0.0", name: NETWORK, type: "bandwidth" }
    expect(node.call("bandwidth", { command, config }).error?.code).toBe(1)
  }
})
