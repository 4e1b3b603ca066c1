import { expect, test } from "vitest"
import { Node, type Pod } from "../lab/node.ts"
import { rules } from "../lab/ruleset.ts"
import { output } from "../lab/run.ts"
import { killEverywhere, leased } from "./killed.ts"
import { hostLocal, leases, Network, ports } from "./network.ts"
import { masqueraded } from "./outside.ts"

test("an ADD killed at any of its steps is healed by the next ADD, and cleaned up by DEL and by GC", () => {
  using node = new Node()
  const network = new Network(node, { ...masqueraded(node), mtu: 1450, macspoofchk: true })
  const pod = node.pod()
  const healers = {
    ADD: () => expectUsable(network, pod),
    DEL: () => expect(network.del(pod).stdout).toBe(""),
    GC: () => expect(network.gc([]).stdout).toBe(""),
  }
  const steps = killEverywhere(network, pod, ["ADD", "DEL", "GC"], (healer, where) => {
    healers[healer]()
    const left = { ports: ports(node), leases: leased(node), inPod: pod.link("eth0"), rules: ownRules(node) }
    expect(left, where).toEqual({ ports: [], leases: [], inPod: undefined, rules: [] })
    if (node.link("cni0")) output(node.inside(["ip", "link", "del", "cni0"]))
  })
  expect(steps["sendto"], "every request was tried").toBeGreaterThan(18)
  expect(steps["link"], "every lease was tried").toBe(2)
})

test("an ADD gets the address it asks for, where a killed ADD left it leased to the same attachment", () => {
  using node = new Node()
  const runtimeConfig = { ips: ["10.244.1.7"] }
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node), runtimeConfig })
  const [pod, other] = [node.pod(), node.pod()]
  expect(node.call("host-local", { command: "ADD", netns: pod, config: network.config }).exitCode).toBe(0)
  expect(network.add(other).error?.code).toBe(103)
  expect(network.connect(pod).ips?.[0]?.address).toBe("10.244.1.7/24")
  expect(leases(node)).toEqual(["10.244.1.7"])
})

function expectUsable(network: Network, pod: Pod): void {
  const result = network.connect(pod)
  expect(pod.pings("10.244.1.1")).toBe(true)
  expect(network.check(pod, result).stdout).toBe("")
  expect(network.del(pod).stdout).toBe("")
}

function ownRules(node: Node): string[] {
  return [...rules(node, "inet cni_plugins_masquerade", "masq_checks"), ...rules(node, "bridge nat", "PREROUTING")]
}
