import { copyFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { NetworkList } from "../lab/cnitool.ts"
import { binDirectory } from "../lab/executables.ts"
import type { Pod } from "../lab/node.ts"
import { snapshot } from "../lab/snapshot.ts"
import { explain, hold, newNode, type Wish } from "./explained.ts"
import type { OperatedNode } from "./operated-node.ts"

const cniVersion = "1.0.0"
const subnets = [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]]
const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }]
const bridge = {
  ...{ type: "bridge", bridge: "cni0", isGateway: true, ipMasq: true, hairpinMode: true },
  ipam: { type: "host-local", ranges: subnets, routes },
}
const podnet: NetworkList = {
  cniVersion,
  name: "podnet",
  plugins: [
    bridge,
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "bandwidth", capabilities: { bandwidth: true } },
    { type: "firewall" },
    { type: "tuning", mtu: 1400, sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" }, dataDir: "/var/lib/cni/tuning" },
  ],
}
const capabilityArgs = {
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: "tcp" },
    { hostPort: 5353, containerPort: 53, protocol: "udp", hostIP: "192.0.2.2" },
  ],
  bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 16_000_000, egressBurst: 1_600_000 },
}

test("bridge, portmap, bandwidth, firewall and tuning: the script that explain prints does what ADD does, for a second pod too", () => {
  hold([{ network: podnet, capabilityArgs }, { network: podnet }])
})

const local = (subnet: string, more = {}) => ({ type: "host-local", subnet, ...more })

test("ptp, macvlan, a second interface, rules of iptables, macspoofchk: the same", () => {
  const toAll = { routes: [{ dst: "0.0.0.0/0" }] }
  const portmap = { type: "portmap", capabilities: { portMappings: true }, backend: "iptables" }
  const lists: NetworkList[] = [
    {
      ...{ cniVersion, name: "line" },
      plugins: [{ type: "ptp", ipMasq: true, ipMasqBackend: "iptables", ipam: local("10.1.1.0/24", toAll) }, portmap],
    },
    { cniVersion, name: "wire", plugins: [{ type: "macvlan", master: "up0", ipam: local("192.0.2.0/24", toAll) }] },
    {
      ...{ cniVersion, name: "guarded" },
      plugins: [{ ...bridge, bridge: "cni1", macspoofchk: true, portIsolation: true, ipam: local("10.1.2.0/24") }],
    },
    {
      ...{ cniVersion, name: "fixed" },
      plugins: [
        {
          type: "bridge",
          bridge: "cni1",
          mtu: 1400,
          ipam: { type: "static", addresses: [{ address: "10.1.3.9/24", gateway: "10.1.3.1" }] },
        },
        { type: "sbr" },
      ],
    },
  ]
  hold(lists.map((network) => ({ network, capabilityArgs, ifname: "net1" })))
})

test("tap and host-device in a pod that has an interface already: the same, routes of the same destination too", () => {
  const toAll = { routes: [{ dst: "0.0.0.0/0" }] }
  const tap = { type: "tap", multiQueue: true, owner: 1, group: 2, ipam: local("10.1.4.0/24", toAll) }
  const device = { type: "host-device", device: "up1", ipam: local("10.1.5.0/24", toAll) }
  const networks = [
    { cniVersion, name: "machine", plugins: [tap] },
    { cniVersion, name: "device", plugins: [device] },
  ]
  const bare = { cniVersion, name: "bare", plugins: [{ ...bridge, ipam: local("10.1.6.0/24", toAll) }] }
  hold([{ network: bare }, ...networks.map((network, index) => ({ network, ifname: `net${index}`, again: true }))])
})

/** Returns the error that explain says an ADD would end with. */
function foretold(node: OperatedNode, pod: Pod, wish: Wish): string {
  const { exitCode, stdout, stderr } = explain(node, pod, wish)
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "" })
  return stdout.trimEnd().split("\n# it would fail: ").at(-1)?.replaceAll("\n#  ", "") ?? ""
}

/** Attaches the pod for real, and expects the very error. */
function confirm(node: OperatedNode, pod: Pod, { network, capabilityArgs = {} }: Wish, error: string): void {
  const real = node.cnitool({ command: "add", netns: pod, network, capabilityArgs, path: node.plugins })
  const words = /\(code \d+\): (.*)/.exec(error)?.[1] ?? "failed to find plugin"
  expect(real).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(words) })
}

test("what would stop an ADD, as the ADD then says: a port, a range, a key, IPAM, a plugin, an interface", () => {
  using node = newNode()
  const named = (name: string, ...plugins: NetworkList["plugins"]): NetworkList => ({ cniVersion, name, plugins })
  const full = named("full", { ...bridge, bridge: "full0", ipam: local("10.9.0.0/30") })
  const first = node.attach(podnet, { capabilityArgs })
  node.attach(full)
  const pods = [node.pod(), node.pod(), node.pod(), node.pod(), node.pod(), first]
  const wishes: readonly [Wish, RegExp][] = [
    [
      { network: podnet, capabilityArgs },
      /^portmap \(code 102\): host port 8080\/tcp is taken by .*; remove that container/,
    ],
    [{ network: full }, /^bridge \(code 103\): .*no IP addresses available.*10\.9\.0\.\d.*; enlarge the range/],
    [{ network: named("wrong", { ...bridge, promiscMode: true }) }, /^bridge \(code 7\): .*hairpinMode.*; choose one$/],
    [{ network: named("noipam", { ...bridge, ipam: local("10.9.1.0/33") }) }, /^bridge \(code 7\): .*10\.9\.1\.0\/33/],
    [
      { network: named("missing", bridge, { type: "meter" }) },
      /^meter: plugin meter is not in \/opt.*; install it there/,
    ],
    [{ network: podnet }, /^bridge \(code 102\): .*eth0/],
  ]
  for (const [{ network }] of wishes) node.configure(network)
  const before = snapshot(node)
  const errors = wishes.map(([wish], index) => foretold(node, pods[index] ?? first, wish))
  expect(snapshot(node)).toEqual(before)
  for (const [index, [wish, pattern]] of wishes.entries()) {
    expect(errors[index]).toMatch(pattern)
    confirm(node, pods[index] ?? first, wish, errors[index] ?? "")
  }
})

test("plugins of others: those of the reference are run, and how the state differs is said; unknown ones are not", () => {
  using node = newNode()
  const pod = node.pod()
  const list = {
    ...podnet,
    plugins: [bridge, { type: "portmap", capabilities: { portMappings: true } }, { type: "gadget" }],
  }
  writeFileSync(join(node.plugins, "gadget"), "#!/bin/sh\ntouch /var/lib/gadget\n", { mode: 0o755 })
  rmSync(join(node.plugins, "bridge"))
  copyFileSync(join(binDirectory("reference"), "bridge"), join(node.plugins, "bridge"))
  node.configure(list)
  const before = snapshot(node)
  const { exitCode, stdout } = explain(node, pod, { network: list, capabilityArgs })
  expect(exitCode).toBe(2)
  expect(snapshot(node)).toEqual(before)
  expect(stdout).toMatch(/^# bridge, which does not tell its steps/m)
  expect(stdout).toMatch(/^# \+ link cni0: bridge up mtu 1500$/m)
  expect(stdout).toMatch(/^# \+ pod: address 10\.244\.1\.2\/24 dev eth0$/m)
  expect(stdout).toMatch(/^# \+ pod: route default via 10\.244\.1\.1 dev eth0$/m)
  expect(stdout).not.toContain("something")
  expect(stdout).toMatch(/^# \+ nft rule inet cni_plugins_masquerade masq_checks/m)
  expect(stdout).toMatch(
    /^nft add rule ip cni_hostport hostports meta l4proto tcp tcp dport 8080 dnat to 10\.244\.1\.2:80/m,
  )
  expect(stdout).toMatch(/# what comes of it cannot be told: \/opt\/cni\/bin\/gadget is not known.*\n.*\n$/)
})

test("for programs: the steps, and the result or the error", () => {
  using node = newNode()
  const pod = node.pod()
  const answer = JSON.parse(explain(node, pod, { network: podnet, capabilityArgs }, "-o", "json").stdout)
  expect(answer).toMatchObject({ outcome: "works", network: "podnet", ifname: "eth0", netns: pod.name, lacks: [] })
  expect(answer.plugins.map(({ type }: { type: string }) => type)).toEqual(podnet.plugins.map(({ type }) => type))
  expect(answer.plugins[0].steps).toContain(`ip -n ${pod.name} route add default via 10.244.1.1 dev eth0`)
  expect(answer.result.ips).toMatchObject([{ address: "10.244.1.2/24" }, { address: "fd00:10:244:1::2/64" }])
  writeFileSync(join(node.plugins, ".bridge.cni-ts-original"), "") // as `record` leaves it
  const recorded = explain(node, pod, { network: podnet }, "-o", "json")
  expect(recorded.exitCode).toBe(2)
  expect(JSON.parse(recorded.stdout).unknown).toContain("cni-ts record --stop")
  expect(node.cniTs("explain", "/nowhere")).toMatchObject({
    exitCode: 2,
    stdout: "",
    stderr: expect.stringContaining("/nowhere"),
  })
})
