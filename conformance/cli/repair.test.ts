import { afterEach, beforeEach, expect, test } from "vitest"
import { ask, Echo } from "../lab/echo.ts"
import type { Pod } from "../lab/node.ts"
import { OperatedNode } from "./operated-node.ts"

const network = {
  cniVersion: "1.0.0",
  name: "podnet",
  plugins: [
    {
      type: "bridge",
      bridge: "cni0",
      isDefaultGateway: true,
      ipMasq: true,
      hairpinMode: true,
      macspoofchk: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.244.1.0/24" }]] },
    },
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "firewall" },
    { type: "tuning", mtu: 1400 },
    { type: "bandwidth", capabilities: { bandwidth: true } },
  ],
}
const capabilityArgs = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 10_000_000, ingressBurst: 1_000_000 },
}

let node: OperatedNode
let pod: Pod
beforeEach(() => {
  node = new OperatedNode()
  node.configure(network)
  pod = node.attach(network, { name: "shop/cart", capabilityArgs })
  node.attach(network, { name: "shop/web" })
  expect(node.doctor().findings).toEqual([])
})
afterEach(() => node[Symbol.dispose]())

const kinds = () => node.doctor().findings.map(({ kind, about }) => `${kind} ${about}`)

test("rules after `nft flush ruleset`: host ports, masquerading, the firewall's, against spoofing", () => {
  node.run("nft", "flush", "ruleset")
  expect(kinds().sort()).toEqual([
    "firewall-rules shop/cart",
    "firewall-rules shop/web",
    "host-ports shop/cart",
    "mac-guard shop/cart",
    "mac-guard shop/web",
    "masquerade shop/cart",
    "masquerade shop/web",
  ])
  const planned = node.cniTs("repair", "--dry-run")
  expect(planned).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("would mend shop/cart: host-ports\n") })
  const json = JSON.parse(node.cniTs("repair", "--dry-run", "-o", "json").stdout)
  expect([json.left, json.unseen]).toEqual([7, []])
  expect(json.mends).toContainEqual(
    expect.objectContaining({ kind: "host-ports", about: "shop/cart", outcome: "would mend" }),
  )
  expect(node.run("nft", "list", "ruleset").stdout).toBe("")
  const done = node.cniTs("repair", "--yes")
  expect(done).toMatchObject({ exitCode: 0, stderr: "" })
  expect(done.stdout).toMatch(/nothing is wrong any more\n$/)
  expect(node.run("nft", "list", "ruleset").stdout).toContain("dport 8080")
  const { address = "" } = pod.link("eth0") ?? {}
  expect(node.run("nft", "list", "table", "bridge", "nat").stdout).toContain(`ether saddr ${address}`)
  using _server = new Echo(pod, "tcp", 80, "cart")
  expect(ask(node, "10.244.1.1", 8080)).toContain("cart hears")
})

test("one pod alone", () => {
  node.run("nft", "flush", "ruleset")
  expect(node.cniTs("repair", "web", "--yes")).toMatchObject({ exitCode: 0 })
  expect(kinds()).toContain("host-ports shop/cart")
  expect(kinds().filter((kind) => kind.endsWith("web"))).toEqual([])
})

test("a bridge that was taken down, with its address, a port that left it, and forwarding", () => {
  const [{ link_index: index } = {}] = pod.ip("link", "show", "eth0")
  const veth = node.ip("link", "show").find(({ ifindex }) => ifindex === index)?.ifname ?? ""
  node.ip("address", "flush", "dev", "cni0")
  node.ip("link", "set", "cni0", "down")
  node.ip("link", "set", veth, "nomaster")
  node.ip("link", "set", veth, "down")
  node.sysctl("net/ipv4/ip_forward", "0")
  expect(node.cniTs("repair", "--yes")).toMatchObject({ exitCode: 0, stderr: "" })
  expect(node.ip("link", "show", veth)[0]).toMatchObject({ master: "cni0", flags: expect.arrayContaining(["UP"]) })
  expect(pod.pings("10.244.1.1")).toBe(true)
})

test("limits and tuning", () => {
  pod.ip("link", "set", "eth0", "mtu", "1450")
  const [{ link_index: index } = {}] = pod.ip("link", "show", "eth0")
  const veth = node.ip("link", "show").find(({ ifindex }) => ifindex === index)?.ifname ?? ""
  node.run("tc", "qdisc", "del", "dev", veth, "root")
  expect(kinds().sort()).toEqual(["limits shop/cart", "tuning shop/cart"])
  expect(node.cniTs("repair", "--yes")).toMatchObject({ exitCode: 0, stderr: "" })
  expect(node.run("tc", "qdisc", "show", "dev", veth).stdout).toContain("tbf")
  expect(pod.link("eth0")?.mtu).toBe(1400)
})

test("what only a new ADD can mend is said, and left alone", () => {
  pod.ip("link", "del", "eth0")
  const { exitCode, stdout } = node.cniTs("repair", "--yes")
  expect(exitCode).toBe(1)
  expect(stdout).toContain("cannot mend shop/cart: no-interface: restart the pod")
})

test("what is right is not touched", () => {
  const before = node.run("nft", "-a", "list", "ruleset").stdout
  expect(node.cniTs("repair", "--yes")).toMatchObject({ exitCode: 0, stdout: "nothing is wrong\n" })
  expect(node.run("nft", "-a", "list", "ruleset").stdout).toBe(before)
})
