import { describe, expect, test } from "vitest"
import { install } from "../../lab/foreign.ts"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { DUAL, hostLocal, leases, Network, ports } from "./network.ts"

const UNKNOWN = "not among the runtime's valid attachments"

describe("GC", () => {
  test("removes the veths and leases of this network that the runtime does not know, and nothing else", () => {
    using node = new Node()
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL) })
    const other = network.as("ours", { name: "other" })
    const elsewhere = network.as("ours", { name: "elsewhere", bridge: "cni1", isGateway: false })
    const [kept, stale, foreign, far] = [node.pod(), node.pod(), node.pod(), node.pod()]
    network.connect(kept)
    network.connect(stale)
    other.connect(foreign)
    elsewhere.connect(far)
    addPort(node, "veth0123abcd")
    const { exitCode, stdout, stderr } = network.gc([kept])
    expect([exitCode, stdout]).toEqual([0, ""])
    const [veth, lease, ...rest] = stderr.split("\n")
    const attachment = `net ${stale.containerId} eth0`
    expect(veth).toBe(`cni-ts bridge: removed ${veth?.split(" ")[3]} ("cni-ts ${attachment}"): ${UNKNOWN}`)
    expect(lease).toMatch(/^cni-ts bridge: removed lease 10.244.1.3 fd00:10:244:1::3 of ".*": /)
    expect(rest).toEqual([""])
    expect(stale.link("eth0")).toBeUndefined()
    expect([kept, foreign, far].map((pod) => pod.link("eth0")?.operstate)).toEqual(["UP", "UP", "UP"])
    expect(leases(node)).toEqual(["10.244.1.2", "fd00:10:244:1::2"])
    expect([leases(node, "other"), leases(node, "elsewhere")].map(({ length }) => length)).toEqual([2, 2])
    expect(node.link("veth0123abcd")).toBeDefined()
    expect(kept.pings("10.244.1.1")).toBe(true)
  })

  test("removes them also where the bridge was deleted, or was made anew since", () => {
    using node = new Node()
    const network = new Network(node)
    const [first, second, kept] = [node.pod(), node.pod(), node.pod()]
    network.connect(first)
    output(node.inside(["ip", "link", "del", "cni0"]))
    expect(network.gc([]).exitCode).toBe(0)
    expect(first.link("eth0")).toBeUndefined()
    network.connect(second)
    output(node.inside(["ip", "link", "del", "cni0"]))
    network.connect(kept)
    expect(network.gc([kept]).exitCode).toBe(0)
    expect([second.link("eth0"), kept.link("eth0")?.ifname]).toEqual([undefined, "eth0"])
  })

  test("leaves a stranger's veth whose shorter name begins as those of the network", () => {
    using node = new Node()
    const network = new Network(node)
    const pod = node.pod()
    const start = network.connect(pod).interfaces?.[1]?.name?.slice(0, 8)
    addPort(node, `${start}0a1b`)
    expect(network.gc([pod])).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(node.link(`${start}0a1b`)).toBeDefined()
  })

  test("tells a pod's interfaces apart", () => {
    using node = new Node()
    const network = new Network(node)
    const pod = node.pod()
    for (const ifname of ["eth0", "eth1"]) network.connect(pod, { ifname })
    expect(network.gc([pod]).exitCode).toBe(0)
    expect([pod.link("eth0")?.ifname, pod.link("eth1")?.ifname]).toEqual(["eth0", undefined])
  })

  test("has the kernel remove many together, and nothing of a group of somebody else's", () => {
    using node = new Node()
    const network = new Network(node)
    const pod = node.pod()
    for (let at = 0; at <= 20; at++) network.connect(pod, { ifname: `eth${at}` })
    output(node.inside(["ip", "link", "add", "other0", "group", "7", "type", "veth", "peer", "name", "other1"]))
    const valid = [{ containerID: pod.containerId, ifname: "eth0" }]
    const { calls, outcome } = node.trace("bridge", {
      command: "GC",
      config: { ...network.config, "cni.dev/valid-attachments": valid },
    })
    expect(calls.filter(({ name, args }) => name === "sendto" && args.includes("RTM_DELLINK,"))).toHaveLength(2)
    expect(outcome.stderr.match(/removed veth/g)).toHaveLength(20)
    expect(ports(node)).toHaveLength(1)
    expect([pod.link("eth0")?.operstate, node.link("other0")?.["group"]]).toEqual(["UP", "7"])
  })

  test("with no valid attachment left removes all of them, and a second time nothing", () => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    network.connect(node.pod())
    network.connect(node.pod())
    expect(network.gc([]).exitCode).toBe(0)
    expect([ports(node), leases(node)]).toEqual([[], []])
    const before = snapshot(node)
    expect(network.gc([])).toMatchObject({ exitCode: 0, stdout: "" })
    expect(snapshot(node)).toEqual(before)
  })

  test("removes what a killed ADD left: a veth under the computed name, without alias", () => {
    using node = new Node()
    const network = new Network(node)
    network.connect(node.pod())
    const [veth] = ports(node)
    output(node.inside(["ip", "link", "set", veth?.ifname ?? "", "alias", ""]))
    expect(network.gc([]).exitCode).toBe(0)
    expect(ports(node)).toEqual([])
  })

  test("on a node without the bridge, or with something else of its name, harms nothing", () => {
    using node = new Node()
    const network = new Network(node)
    expect(network.gc([]).exitCode).toBe(0)
    output(node.inside(["ip", "link", "add", "cni0", "type", "veth", "peer", "other"]))
    const before = snapshot(node)
    expect(network.gc([])).toMatchObject({ exitCode: 0, stdout: "" })
    expect(snapshot(node)).toEqual(before)
  })

  test("before 1.1.0 is refused", () => {
    using node = new Node()
    const { error } = new Network(node, { cniVersion: "1.0.0" }).gc([])
    expect(error).toMatchObject({ code: 1, msg: "config version does not allow GC" })
  })
})

describe("STATUS", () => {
  test("is silent success where ADD can be served, and makes nothing", () => {
    using node = new Node()
    const before = snapshot(node)
    for (const config of [{}, { isGateway: true, ipam: hostLocal(node) }]) {
      expect(new Network(node, config).ask("STATUS", undefined)).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    }
    expect(snapshot(node)).toEqual(before)
  })

  test.each([
    ["an IPAM plugin that is not installed", { ipam: { type: "missing" } }, 'failed to find plugin "missing"'],
    ["a configuration that cannot be served", { vlan: 5000 }, "invalid VLAN ID 5000"],
    [
      "masquerading by an unknown backend",
      { ipMasq: true, ipMasqBackend: "pf", ipam: { type: "host-local" } },
      'unknown backend "pf"',
    ],
  ])("is code 50 with the reason for %s", (_, config, msg) => {
    using node = new Node()
    const { error } = new Network(node, config).ask("STATUS", undefined)
    expect(error).toMatchObject({ code: 50, msg: expect.stringContaining(msg) })
  })

  test("is code 50 when something else has the bridge's name", () => {
    using node = new Node()
    const { error } = new Network(node, { bridge: "lo" }).ask("STATUS", undefined)
    expect(error).toMatchObject({ code: 50, msg: '"lo" already exists but is not a bridge' })
  })

  test("is success while every address is leased: the node keeps its running pods", () => {
    using node = new Node()
    const network = new Network(node, { isGateway: true, ipam: hostLocal(node, ["10.1.2.0/30"]) })
    network.connect(node.pod())
    expect(network.add(node.pod()).error).toMatchObject({ code: 103 })
    expect(network.ask("STATUS", undefined)).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
  })

  test("is what IPAM says", () => {
    using node = new Node()
    const path = install(node, "bin", `echo '{"code": 51, "msg": "half full"}'\nexit 1`, "half")
    const outcome = new Network(node, { ipam: { type: "half" } }).ask("STATUS", undefined, { path })
    expect(outcome).toMatchObject({ exitCode: 1, error: { code: 51, msg: "half full" } })
  })
})

function addPort(node: Node, name: string): void {
  output(node.inside(["ip", "link", "add", name, "type", "veth", "peer", `${name}p`]))
  output(node.inside(["ip", "link", "set", name, "master", "cni0"]))
}
