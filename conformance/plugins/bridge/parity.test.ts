import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { asOurs } from "./differences.ts"
import { type Config, DUAL, hostLocal, Network, V4, V6 } from "./network.ts"
import { mask, observe } from "./observed.ts"

const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  "layer 2": () => ({}),
  "layer 2, hairpin": () => ({ hairpinMode: true }),
  "layer 2, isolated": () => ({ portIsolation: true }),
  "layer 2, promiscuous": () => ({ promiscMode: true }),
  "layer 2, interface left down": () => ({ disableContainerInterface: true }),
  "layer 2, mtu": () => ({ mtu: 1450 }),
  IPv4: (node) => ({ ipam: hostLocal(node) }),
  IPv6: (node) => ({ ipam: hostLocal(node, [V6]) }),
  "dual stack": (node) => ({ ipam: hostLocal(node, DUAL) }),
  "IPv4 gateway": (node) => ({ isGateway: true, ipam: hostLocal(node) }),
  "IPv6 gateway": (node) => ({ isGateway: true, ipam: hostLocal(node, [V6]) }),
  "dual-stack gateway": (node) => ({ isGateway: true, ipam: hostLocal(node, DUAL) }),
  "IPv4 default gateway": (node) => ({ isDefaultGateway: true, ipam: hostLocal(node) }),
  "IPv6 default gateway": (node) => ({ isDefaultGateway: true, ipam: hostLocal(node, [V6]) }),
  "dual-stack default gateway, mtu": (node) => ({ isDefaultGateway: true, mtu: 1450, ipam: hostLocal(node, DUAL) }),
  "duplicate address detection": (node) => ({ isGateway: true, enabledad: true, ipam: hostLocal(node, DUAL) }),
  "two IPv6 ranges": (node) => ({ isGateway: true, ipam: hostLocal(node, [V4, V6, "fd00:10:244:2::/64"]) }),
  "a gateway of IPAM's choice": (node) => ({
    isGateway: true,
    ipam: hostLocal(node, [], { ranges: [[{ subnet: V4, gateway: "10.244.1.77" }]] }),
  }),
  "small and odd prefixes": (node) => ({ isGateway: true, ipam: hostLocal(node, ["10.9.0.8/29", "fd00::/120"]) }),
  ...withRoutes("with gateway", { dst: "10.5.0.0/16", gw: "10.244.1.9" }),
  ...withRoutes("without gateway", { dst: "10.5.0.0/16" }, { dst: "fd05::/48" }),
  ...withRoutes("default, by our gateway", { dst: "0.0.0.0/0" }, { dst: "::/0" }),
  ...withRoutes("with priority", { dst: "10.5.0.0/16", priority: 50 }, { dst: "fd05::/48", priority: 60 }),
  ...withRoutes("in a table", { dst: "10.5.0.0/16", table: 100 }, { dst: "fd05::/48", table: 1000 }),
  ...withRoutes("with scope", { dst: "10.5.0.0/16", scope: 0 }),
  ...withRoutes("to one IPv6 destination twice", ...twice("fd05::/48", "fd00:10:244:1::8", "fd00:10:244:1::9")),
  ...withRoutes("to one IPv4 destination twice", ...twice("10.5.0.0/16", "10.244.1.8", "10.244.1.9")),
  "resolv.conf": (node) => ({ ipam: hostLocal(node, [V4], { resolvConf: resolvConf(node) }) }),
  "dns of its own": (node) => ({
    dns: { nameservers: ["1.1.1.1"], search: ["a.b"], domain: "a", options: ["ndots:2"] },
    ipam: hostLocal(node, [V4], { resolvConf: resolvConf(node) }),
  }),
  everything: (node) => ({
    isDefaultGateway: true,
    mtu: 1450,
    hairpinMode: true,
    dns: { nameservers: ["1.1.1.1"], search: ["a.b"], domain: "a", options: ["ndots:2"] },
    ipam: hostLocal(node, DUAL, {
      routes: [
        { dst: "10.5.0.0/16", gw: "10.244.1.9", priority: 50 },
        { dst: "10.6.0.0/16", table: 100, scope: 0 },
        { dst: "fd05::/48" },
      ],
    }),
  }),
  "a MAC address": () => ({ runtimeConfig: { mac: "02:00:00:00:00:33" } }),
}

function withRoutes(name: string, ...routes: Config[]) {
  const config = (node: Node) => ({ isGateway: true, ipam: hostLocal(node, DUAL, { routes }) })
  return { [`routes ${name}`]: config }
}

function twice(dst: string, ...gateways: string[]): Config[] {
  return gateways.map((gw) => ({ dst, gw }))
}

function resolvConf(node: Node): string {
  const file = join(node.dir, "resolv.conf")
  writeFileSync(file, "nameserver 10.0.0.10\nsearch svc.local\noptions ndots:5\n")
  return file
}

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test("is the same as with the reference: the result, the node and the pod, after ADD and after DEL", () => {
    const [ours, reference] = [attach("ours", config), attach("reference", config)]
    expect(ours.printed).toBe(reference.printed)
    expect(ours.added).toEqual(asOurs(reference.added, ours.context))
    expect(ours.deleted).toEqual(asOurs(reference.deleted, ours.context))
  })
})

function attach(implementation: Implementation, config: (node: Node) => Config) {
  using node = new Node({ detection: "quick" })
  const pod = node.pod()
  const network = new Network(node, config(node), implementation)
  const { stdout } = network.add(pod)
  const added = observe(node, pod)
  network.del(pod)
  const { enabledad = false, mtu } = network.config as { enabledad?: boolean; mtu?: number }
  const context = { containerId: pod.containerId, enabledad, mtu }
  return { context, printed: mask(stdout, pod.path), added, deleted: observe(node, pod) }
}

describe.each(VERSIONS)("the result at %s", (cniVersion) => {
  const names = ["a MAC address", "everything"].filter((name) => cniVersion >= "0.3.0" || name === "everything")

  test.each(names)("is printed byte for byte as by the reference: %s", (name) => {
    const print = (implementation: Implementation) => {
      using node = new Node({ detection: "quick" })
      const pod = node.pod()
      const network = new Network(node, { ...NETWORKS[name]?.(node), cniVersion }, implementation)
      const { exitCode, stdout } = network.add(pod)
      expect(exitCode).toBe(0)
      return mask(stdout, pod.path)
    }
    expect(print("ours")).toBe(print("reference"))
  })
})
