import { describe, expect, test } from "vitest"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { install } from "../../lab/foreign.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Config, DUAL, hostLocal, leased, leases } from "../bridge/network.ts"
import { masqueradeRules, ptp, veths } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

describe("a failed ADD leaves nothing (the reference's leaves a veth, or a lease)", () => {
  const full = { subnet: "10.244.1.0/24", rangeStart: "10.244.1.1", rangeEnd: "10.244.1.1" }
  const causes: Readonly<Record<string, [config: (node: Node) => Config, msg: string]>> = {
    "IPAM has no address left": [
      (node) => ({ ipam: hostLocal(node, [], { ranges: [[full]] }) }),
      "no IP addresses available",
    ],
    "IPAM gives no address": [() => ({ ipam: { type: "foreign" } }), "IPAM plugin returned missing IP config"],
    "a route's gateway cannot be reached": [
      (node) => ({ ipam: hostLocal(node, DUAL, { routes: [{ dst: "10.5.0.0/16", gw: "172.31.9.9" }] }) }),
      "add route",
    ],
  }

  test.each(Object.entries(causes))("where %s", (_, [config, msg]) => {
    using node = new Node()
    const directory = install(node, "plugins", 'cat >/dev/null; [ "$CNI_COMMAND" = ADD ] && echo "{}"; true')
    const attempt = (implementation: Implementation) => {
      const pod = node.pod()
      const path = `${binDirectory(implementation)}:${directory}`
      const { error } = ptp(node, config(node), implementation).add(pod, { path })
      expect(error?.msg).toContain(msg)
      return { pod: pod.ip("link", "show").length, veths: veths(node), leases: leased(node), code: error?.code }
    }
    const ours = attempt("ours")
    expect(ours).toMatchObject({ pod: 1, veths: [], leases: [] })
    expect(ours.code).not.toBe(999)
  })

  test("where forwarding cannot be switched on", () => {
    using node = new Node()
    const pod = node.pod()
    const script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    const { config } = ptp(node)
    const argv = ["unshare", "-m", "sh", "-c", script, "/proc/sys/net/ipv4", `${binDirectory()}/ptp`]
    const env = {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: "c",
      CNI_NETNS: pod.path,
      CNI_IFNAME: "eth0",
      CNI_PATH: binDirectory(),
    }
    const withEnv = ["env", ...Object.entries(env).map(([name, value]) => `${name}=${value}`), ...argv]
    expect(() => output(node.inside(withEnv), { stdin: JSON.stringify(config) })).toThrow()
    expect([veths(node), leased(node), pod.link("eth0")]).toEqual([[], [], undefined])
  })
})

describe("DEL", () => {
  test("needs neither namespace, nor a config that makes sense, nor an ADD before it", () => {
    using node = new Node()
    const network = ptp(node, { ipMasq: true })
    const [never, gone, odd] = [node.pod(), node.pod(), node.pod()]
    expect(network.del(never)).toMatchObject(QUIET)
    expect(network.del(never, { config: { ipam: undefined } })).toMatchObject(QUIET)
    network.connect(gone)
    for (const _time of [1, 2]) {
      expect(network.ask("DEL", "", { containerId: gone.containerId })).toMatchObject(QUIET)
      expect([veths(node), leases(node), masqueradeRules(node), gone.link("eth0")]).toEqual([[], [], [], undefined])
    }
    network.connect(odd)
    expect(network.del(odd, { config: { mtu: -1, ipMasq: false } })).toMatchObject(QUIET)
    expect([veths(node), leases(node), masqueradeRules(node)]).toEqual([[], [], []])
  })

  test("of one network spares the pod's interface of another", () => {
    using node = new Node()
    const network = ptp(node)
    const pod = node.pod()
    const result = network.connect(pod)
    expect(network.as("ours", { name: "other" }).del(pod)).toMatchObject(QUIET)
    expect(network.check(pod, result)).toMatchObject(QUIET)
  })
})

test("a second ADD is refused and does the first no harm", () => {
  using node = new Node()
  const network = ptp(node)
  const pod = node.pod()
  const result = network.connect(pod)
  expect(network.add(pod).error?.code).toBe(102)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.244.1.2"])
})

test("GC removes veths, rules and leases of what is no longer valid, and nothing else", () => {
  using node = new Node()
  const network = ptp(node, { ipMasq: true })
  const [kept, stale, other] = [node.pod(), node.pod(), node.pod()]
  network.connect(kept)
  network.connect(stale)
  ptp(node, { name: "other", ipam: hostLocal(node, ["10.9.0.0/24"]) }).connect(other)
  expect(network.gc([kept])).toMatchObject(QUIET)
  expect([leases(node), masqueradeRules(node).length, veths(node).length]).toEqual([["10.244.1.2"], 1, 2])
  expect([kept.pings("10.244.1.1"), other.pings("10.9.0.1"), stale.link("eth0")]).toEqual([true, true, undefined])
})

describe("CHECK fails when", () => {
  const inPod = (pod: Pod, ...argv: string[]) => void output(pod.inside(argv))
  const onNode = (node: Node, ...argv: string[]) => void output(node.inside(argv))
  const veth = (node: Node) => veths(node)[0]?.ifname ?? ""
  const faults: Readonly<Record<string, [harm: (pod: Pod, node: Node) => void, msg: string]>> = {
    "the interface is gone": [(pod) => inPod(pod, "ip", "link", "del", "eth0"), "interface eth0 is gone"],
    "the pod's MAC address is another": [
      (pod) => inPod(pod, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:55"),
      "MAC address of eth0 is 02:00:00:00:00:55, not ",
    ],
    "the host end's MAC address is another": [
      (_, node) => onNode(node, "ip", "link", "set", veth(node), "address", "02:00:00:00:00:55"),
      " is 02:00:00:00:00:55, not ",
    ],
    "the host end has another name": [
      (_, node) => onNode(node, "ip", "link", "set", veth(node), "name", "other"),
      "the host end of eth0 is not the one in prevResult",
    ],
    "an address is missing": [
      (pod) => inPod(pod, "ip", "addr", "del", "10.244.1.2/24", "dev", "eth0"),
      "address 10.244.1.2/24 is missing",
    ],
    "the route to the network is missing": [
      (pod) => inPod(pod, "ip", "route", "del", "10.244.1.0/24"),
      "route to 10.244.1.0/24 of eth0 is missing",
    ],
    "a route is missing": [
      (pod) => inPod(pod, "ip", "route", "del", "10.5.0.0/16"),
      "route 10.5.0.0/16 of eth0 is missing",
    ],
    "the gateway's address is missing (the reference does not look)": [
      (_, node) => onNode(node, "ip", "addr", "del", "10.244.1.1/32", "dev", veth(node)),
      "gateway address 10.244.1.1/32 is missing on veth",
    ],
    "the node's route to the pod is missing (the reference does not look)": [
      (_, node) => onNode(node, "ip", "route", "del", "10.244.1.2/32"),
      "route to 10.244.1.2/32 by veth",
    ],
    "the lease is gone": [(_, node) => onNode(node, "rm", `${node.dir}/ipam/net/10.244.1.2`), "host-local"],
  }

  test.each(Object.entries(faults))("%s", (name, [harm, msg]) => {
    using node = new Node()
    const network = ptp(node, { ipam: hostLocal(node, ["10.244.1.0/24"], { routes: [{ dst: "10.5.0.0/16" }] }) })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    harm(pod, node)
    expect(network.check(pod, result).error?.msg).toContain(msg)
    if (name.includes("does not look")) expect(network.as("reference").check(pod, result).exitCode).toBe(0)
  })
})

describe("ADD is refused", () => {
  const cases: [string, Config, number, string][] = [
    ["without ipam", { ipam: undefined }, 7, "ipam.type: missing"],
    ["for an empty ipam.type", { ipam: { type: "" } }, 7, "ipam.type: missing"],
    ["for an IPAM plugin that is not there", { ipam: { type: "dhcp9" } }, 7, "failed to find plugin"],
    ["for an mtu below 0", { mtu: -1 }, 7, "mtu: -1 is not between"],
    ["for an mtu the kernel has no room for", { mtu: 65_536 }, 7, "mtu: 65536 is not between 68 and 65535"],
    ["for an ipMasq that is a word", { ipMasq: "yes" }, 6, "ipMasq: expected true or false"],
    ["for an unknown backend", { ipMasq: true, ipMasqBackend: "ebpf" }, 7, "ipMasqBackend"],
  ]

  test.each(cases)("%s", (_, config, code, msg) => {
    using node = new Node()
    const pod = node.pod()
    expect(ptp(node, config).add(pod).error).toMatchObject({ code, msg: expect.stringContaining(msg) })
    expect([veths(node), pod.ip("link", "show").length]).toEqual([[], 1])
  })

  test("for an interface that the pod has", () => {
    using node = new Node()
    const pod = node.pod()
    expect(ptp(node).add(pod, { ifname: "lo" }).error).toMatchObject({ code: 102 })
    expect([veths(node), leased(node)]).toEqual([[], []])
  })
})
