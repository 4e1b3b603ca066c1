import { describe, expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { hostLocal, Network } from "../bridge/network.ts"
import { ptp } from "../ptp/network.ts"
import { ifbs, qdiscs } from "./limited.ts"

const LIMITS = { egressMode: "ifb", ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5 }
const GATEWAY = "cni0.100"

const MAKERS: readonly Implementation[] = ["ours", "reference"]

/** Gives the pod an eth0 that names the host's `victim` as its other end, as the victim does eth0. */
function impersonate(node: Node, pod: Pod, victim: string): void {
  const { ifindex, link, link_index = node.link(String(link))?.ifindex } = node.link(victim) ?? {}
  const far = ["peer", "name", "far", "index", String(ifindex), "netns", node.pod().name]
  output(pod.inside(["ip", "link", "add", "eth0", "index", String(link_index), "type", "veth", ...far]))
}

function rename(pod: Pod, from: string, to: string): void {
  pod.ip("link", "set", from, "down")
  pod.ip("link", "set", from, "name", to)
}

function ask(node: Node, command: string, netns: Pod, prevResult: Result, implementation: Implementation = "ours") {
  const config = { cniVersion: "1.0.0", name: "net", type: "bandwidth", ...LIMITS, prevResult }
  return node.call("bandwidth", { command, netns, config, implementation })
}

/** The host end of the pod's interface, of which the kernel says that its other end is elsewhere. */
function hostVeth(node: Node, { interfaces = [] }: Result): string {
  const names = interfaces.filter(({ sandbox = "" }) => sandbox === "").map(({ name }) => name)
  return names.find((name) => node.link(name)?.["link_netnsid"] !== undefined) ?? ""
}

describe.each(MAKERS)(
  "a pod that %s attached to a bridge, and that gives its eth0 the indexes of the gateway's VLAN interface",
  (maker) => {
    /** As bridge makes it: both ends are on the host, and one is in the result. */
    function attached(node: Node) {
      const network = new Network(node, { isGateway: true, ipam: hostLocal(node) }, maker)
      const pod = node.pod()
      const result = network.connect(pod)
      node.ip("link", "add", GATEWAY, "type", "veth", "peer", "name", "vethgateway")
      const gateway = { name: GATEWAY, mac: String(node.link(GATEWAY)?.address) }
      return { network, pod, result: { ...result, interfaces: [...(result.interfaces ?? []), gateway] } }
    }

    test("has not the gateway limited, but itself or nothing (the reference limits the gateway)", () => {
      using node = new Node()
      const { network, pod, result } = attached(node)
      const veth = hostVeth(node, result)
      rename(pod, "eth0", "eth9")
      impersonate(node, pod, GATEWAY)
      const { exitCode, error } = ask(node, "ADD", pod, result)
      expect([exitCode, error?.code]).toEqual(maker === "ours" ? [0, undefined] : [1, 102])
      expect([qdiscs(node, GATEWAY), qdiscs(node, veth).length]).toEqual([[], maker === "ours" ? 2 : 0])
      expect(network.as("ours").check(pod, result).error?.code).toBe(104)
      expect(ask(node, "DEL", pod, result).exitCode).toBe(0)
      expect(ask(node, "ADD", pod, result, "reference").exitCode).toBe(0)
      expect(qdiscs(node, GATEWAY)).toHaveLength(2)
    })

    test("and has lost its own, is refused", () => {
      using node = new Node()
      const { network, pod, result } = attached(node)
      const mac = String(pod.link("eth0")?.address)
      pod.ip("link", "del", "eth0")
      impersonate(node, pod, GATEWAY)
      pod.ip("link", "set", "eth0", "address", mac)
      for (const command of ["ADD", "CHECK"]) expect(ask(node, command, pod, result).error?.code, command).toBe(102)
      expect([qdiscs(node, GATEWAY), ifbs(node)]).toEqual([[], []])
      expect(network.as("ours").check(pod, result).error?.msg).toBe("the host end of eth0 is not the one in prevResult")
    })
  },
)

describe.each(MAKERS)("a pod that %s attached by ptp", (maker) => {
  test("and that gives its eth0 the indexes of another pod's interface does not limit that pod", () => {
    using node = new Node()
    const network = ptp(node, {}, maker)
    const [pod, other] = [node.pod(), node.pod()]
    const [own, theirs] = [network.connect(pod), network.connect(other)]
    const victim = hostVeth(node, theirs)
    pod.ip("link", "del", "eth0")
    impersonate(node, pod, victim)
    const result = { ...own, interfaces: [...(own.interfaces ?? []), ...(theirs.interfaces ?? [])] }
    expect(ask(node, "ADD", pod, result).error).toMatchObject({ code: 102 })
    expect([qdiscs(node, victim), ifbs(node)]).toEqual([[], []])
  })

  test("and that swaps the names of its interfaces does not limit the other one", () => {
    using node = new Node()
    const more = { name: "second", ipam: hostLocal(node, ["10.244.2.0/24"]) }
    const [first, second] = [ptp(node, {}, maker), ptp(node, more, maker)]
    const pod = node.pod()
    const [own, theirs] = [first.connect(pod), second.connect(pod, { ifname: "net1" })]
    rename(pod, "eth0", "eth9")
    rename(pod, "net1", "eth0")
    expect(ask(node, "ADD", pod, own).exitCode).toBe(maker === "ours" ? 0 : 1)
    expect(qdiscs(node, hostVeth(node, theirs))).toEqual([])
  })
})
