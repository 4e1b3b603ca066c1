import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { NetworkList } from "../lab/cnitool.ts"
import type { Implementation } from "../lab/executables.ts"
import type { Pod } from "../lab/node.ts"
import { measuringPeak } from "../lab/peak.ts"
import { output } from "../lab/run.ts"
import { parseTrace } from "../lab/strace.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

const ranges = (subnet: string, more = {}) => ({ type: "host-local", ranges: [[{ subnet, ...more }]] })
const chained = [
  { type: "portmap", capabilities: { portMappings: true } },
  { type: "firewall" },
  { type: "tuning", mtu: 1400, sysctl: { "net.ipv4.conf.IFNAME.arp_notify": "1" } },
  { type: "bandwidth", capabilities: { bandwidth: true } },
]

/** Every plugin that needs no more than this machine's kernel, by the interface that a pod has of it. */
const networks: Readonly<Record<string, NetworkList>> = {
  lo: { cniVersion: "1.0.0", name: "loopback", plugins: [{ type: "loopback" }] },
  eth0: {
    ...PODNET,
    plugins: [
      {
        ...PODNET.plugins[0],
        type: "bridge",
        ipMasq: true,
        macspoofchk: true,
        ipam: ranges("10.244.1.0/24"),
      },
      ...chained,
    ],
  },
  net1: {
    cniVersion: "1.0.0",
    name: "storage",
    plugins: [
      {
        type: "macvlan",
        master: "eth0",
        ipam: ranges("198.51.100.0/24", { rangeStart: "198.51.100.10", gateway: "198.51.100.254" }),
      },
      { type: "sbr" },
    ],
  },
  net2: {
    cniVersion: "1.0.0",
    name: "direct",
    plugins: [
      { type: "ptp", ipMasq: true, ipam: ranges("10.9.9.0/24") },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  },
  net3: { cniVersion: "1.0.0", name: "taps", plugins: [{ type: "tap", ipam: ranges("10.9.10.0/24") }] },
  net4: {
    cniVersion: "1.0.0",
    name: "fixed",
    plugins: [{ type: "macvlan", master: "eth0", mode: "private", ipam: { type: "static" } }],
  },
}
const device = (name: string): NetworkList => ({
  cniVersion: "1.0.0",
  name: "devices",
  plugins: [{ type: "host-device", device: name, ipam: ranges("10.9.11.0/24") }],
})

/** Attaches a pod to all of them. */
function attach(node: OperatedNode, number: number, implementation?: Implementation): Pod {
  const pod = node.pod()
  const name = `shop/pod-${number}`
  const capabilityArgs = (ifname: string) => ({
    portMappings: [{ hostPort: (ifname === "eth0" ? 8000 : 9000) + number, containerPort: 80, protocol: "tcp" }],
    bandwidth: { ingressRate: 1e7, ingressBurst: 1e6, egressRate: 1e7, egressBurst: 1e6 },
  })
  const wish = (ifname: string) => ({
    name,
    ifname,
    capabilityArgs: capabilityArgs(ifname),
    ...(implementation && { implementation }),
  })
  for (const [ifname, network] of Object.entries(networks)) {
    if (ifname !== "net4") node.attachTo(pod, network, wish(ifname))
  }
  node.attachTo(pod, fixed(number), wish("net4"))
  node.ip("link", "add", `card${number}`, "type", "veth", "peer", "name", `wire${number}`)
  node.attachTo(pod, device(`card${number}`), wish("net5"))
  return pod
}

function fixed(number: number): NetworkList {
  const addresses = [{ address: `192.0.2.${number + 1}/24` }]
  return {
    cniVersion: "1.0.0",
    name: "fixed",
    plugins: [{ type: "macvlan", master: "eth0", mode: "private", ipam: { type: "static", addresses } }],
  }
}

function nodeWithNetworks(): OperatedNode {
  const node = new OperatedNode()
  node.uplink("198.51.100.1/24", "198.51.100.254")
  for (const network of Object.values(networks)) node.configure(network)
  return node
}

test("a healthy node with twenty pods of every plugin gives no finding", () => {
  using node = nodeWithNetworks()
  for (let number = 0; number < 20; number++) attach(node, number)
  expect(node.doctor()).toEqual({ exitCode: 0, findings: [], unseen: [], attachments: 140 })
})

describe("pods of the Go plugins", () => {
  let node: OperatedNode
  let pod: Pod
  beforeAll(() => {
    node = nodeWithNetworks()
    pod = attach(node, 0, "reference")
    attach(node, 1, "reference")
  })
  afterAll(() => node[Symbol.dispose]())
  const findings = () =>
    node
      .doctor()
      .findings.map(({ kind, about }) => `${kind} ${about}`)
      .sort()

  test("give no finding", () => {
    expect(node.doctor()).toEqual({ exitCode: 0, findings: [], unseen: [], attachments: 14 })
  })

  test("give one for each fault", () => {
    pod.run("ip", "rule", "del", "from", "198.51.100.10")
    expect(findings()).toEqual(["routing shop/pod-0"])
    pod.ip("link", "set", "eth0", "mtu", "1450")
    expect(findings()).toEqual(["routing shop/pod-0", "tuning shop/pod-0"])
    pod.ip("route", "del", "default", "dev", "eth0")
    expect(findings()).toContain("no-default-route shop/pod-0")
    node.ip("address", "del", "10.244.1.1/24", "dev", "cni0")
    expect(findings()).toContain("no-gateway-address cni0")
    node.run("iptables", "-t", "nat", "-F", "CNI-HOSTPORT-DNAT")
    node.run("nft", "flush", "chain", "ip", "cni_hostport", "hostports")
    expect(findings()).toEqual(expect.arrayContaining(["host-ports shop/pod-0", "host-ports shop/pod-1"]))
  })
})

/** The most that doctor may take for each pod, however many there are. */
const PER_POD = { requests: 16, systemCalls: 120 }

/** The most questions of who has an address that may be brought to everybody on the bridge, however many pods there are. */
const BROADCASTS = 60

/** Counts them where they come to a pod; those from no address are of pods that look for duplicates of their own. */
const COUNTED = `table netdev brought {
  counter questions { }
  chain ingress {
    type filter hook ingress device eth0 priority 0
    arp operation request counter name questions
    ip6 saddr != :: icmpv6 type nd-neighbor-solicit counter name questions
  }
}`

/** Says on stderr what a program took: seconds of CPU for itself, and in the kernel. */
const TIMED = ["bash", "--norc", "-c", 'TIMEFORMAT="%U user, %S kernel"; time "$@"', "bash"]

test("two hundred pods are looked at in little memory, and with few requests for each", async () => {
  using node = new OperatedNode()
  node.uplink("198.51.100.1/24", "198.51.100.254")
  const [bridge, ...rest] = PODNET.plugins
  const network = { ...PODNET, plugins: [{ ...bridge, type: "bridge", ipMasq: true }, ...rest, { type: "firewall" }] }
  node.configure(network)
  const bandwidth = { ingressRate: 1e7, ingressBurst: 1e6, egressRate: 1e7, egressBurst: 1e6 }
  const wishes = Array.from({ length: 200 }, (_, number) => {
    const portMappings = [{ hostPort: 8000 + number, containerPort: 80, protocol: "tcp" }]
    return { name: `shop/pod-${number}`, capabilityArgs: { portMappings, bandwidth } }
  })
  await node.attachMany(network, wishes)
  const [peak, trace] = [join(node.dir, "peak"), join(node.dir, "trace")]
  const pod = node.pods.at(-1)?.inside(["nft", "-f", "-"]) ?? []
  output(pod, { stdin: COUNTED })
  const { findings, unseen, attachments } = node.doctorAs(["strace", "-f", "-qq", "-o", trace]) // while no pod knows anybody
  const [, questions] = /packets (\d+)/.exec(output(pod, { stdin: "list counter netdev brought questions" })) ?? []
  expect(Number(questions)).toBeLessThan(BROADCASTS)
  // The kernel's table of neighbours is one for all namespaces: others may have filled it.
  const unexplained = unseen.filter((sentence) => !/^cannot send to .*: (ENOBUFS|EINVAL)/.test(sentence))
  expect([findings, unexplained, attachments]).toEqual([[], [], 200])
  const { calls, processes } = parseTrace(trace)
  expect(processes).toBe(0)
  expect(calls.filter(({ name }) => name === "sendto").length).toBeLessThan(200 * PER_POD.requests)
  expect(calls.length).toBeLessThan(200 * PER_POD.systemCalls)
  for (const argv of [["doctor"], ["show"], ["leases"], ["explain", "/etc/cni/net.d/podnet.conflist"]]) {
    expect(node.cniTsAs(measuringPeak(peak, []), ...argv)).toMatchObject({ stderr: "" })
    expect(Number(readFileSync(peak, "utf8"))).toBeLessThan(64 << 10)
    console.log(`${argv[0]} of 200 pods: ${node.cniTsAs(TIMED, ...argv).stderr.trim()}`)
  }
})
