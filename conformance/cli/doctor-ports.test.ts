import { readFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Echo } from "../lab/echo.ts"
import { run } from "../lab/run.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

let node: OperatedNode
beforeEach(() => {
  node = new OperatedNode()
  node.uplink("198.51.100.1/24", "198.51.100.254")
  node.configure(PODNET)
})
afterEach(() => node[Symbol.dispose]())

const publishing = (hostPort: number, more = {}) => ({
  capabilityArgs: { portMappings: [{ hostPort, containerPort: 80, protocol: "tcp", ...more }] },
})

/** Runs a program that must succeed. */
function does(...argv: string[]): void {
  const { exitCode, stderr } = node.run(...argv)
  expect([exitCode, stderr]).toEqual([0, ""])
}

/** Adds a rule of iptables that leads what comes to the TCP port elsewhere; `place` is a chain, and conditions. */
function leads(place: string, port: number, to = "192.0.2.9:80"): void {
  does(..."iptables -t nat".split(" "), ...place.split(" "), ...`-p tcp --dport ${port} -j DNAT --to ${to}`.split(" "))
}

const findings = () => node.doctor().findings.map(({ kind, about }) => `${kind} ${about}`)

test("two pods with one host port, which the Go plugin does not refuse", () => {
  const twice = { ...publishing(8080), implementation: "reference" } as const
  node.attach(PODNET, { name: "shop/cart", ...twice })
  expect(findings()).toEqual([])
  node.attach(PODNET, { name: "shop/web", ...twice })
  expect(findings()).toEqual(["host-port-twice 8080/tcp"])
  expect(node.doctor().findings[0]?.evidence.join()).toMatch(/shop\/cart.*shop\/web/)
})

test("one port of two addresses of the node is no port twice", () => {
  node.ip("address", "add", "198.51.100.2/24", "dev", "eth0")
  node.attach(PODNET, { name: "shop/cart", ...publishing(8080, { hostIP: "198.51.100.1" }) })
  node.attach(PODNET, { name: "shop/web", ...publishing(8080, { hostIP: "198.51.100.2" }) })
  expect(findings()).toEqual([])
})

describe("a rule of others that takes the port's packets", () => {
  beforeEach(() => void node.attach(PODNET, { name: "shop/cart", ...publishing(8080) }))

  test("by iptables", () => {
    leads("-A PREROUTING", 8081)
    leads("-A PREROUTING -s 192.0.2.1", 8080)
    expect(findings()).toEqual([])
    leads("-A PREROUTING", 8080)
    expect(findings()).toEqual(["host-port-shadowed shop/cart"])
    expect(node.doctor().findings[0]?.evidence[0]).toContain("iptables -t nat -S PREROUTING")
  })

  test("as Docker publishes ports", () => {
    does("iptables", "-t", "nat", "-N", "DOCKER")
    does("iptables", "-t", "nat", "-A", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER")
    leads("-A DOCKER ! -i docker0", 8080, "172.17.0.2:80")
    expect(findings()).toEqual(["host-port-shadowed shop/cart"])
  })

  test("by nftables, in a chain before portmap's and not in one behind it", () => {
    does("nft", "add table ip site; add chain ip site late { type nat hook prerouting priority -50; }")
    does("nft", "add rule ip site late tcp dport 8080 dnat to 192.0.2.9:80")
    expect(findings()).toEqual([])
    does("nft", "add chain ip site early { type nat hook prerouting priority -150; }")
    does("nft", "add rule ip site early tcp dport 8000-8079 redirect to :9")
    does("nft", "add rule ip site early tcp dport { 80, 8081 } redirect to :9")
    expect(findings()).toEqual([])
    does("nft", "add rule ip site early tcp dport { 80, 8080 } redirect to :9")
    expect(findings()).toEqual(["host-port-shadowed shop/cart"])
    does("nft", "flush chain ip site early; add rule ip site early tcp dport 8000-8100 redirect to :9")
    expect(findings()).toEqual(["host-port-shadowed shop/cart"])
  })
})

test("portmap by iptables does not shadow itself, nor does what comes behind it", () => {
  const network = {
    ...PODNET,
    plugins: [
      PODNET.plugins[0] ?? { type: "bridge" },
      { type: "portmap", backend: "iptables", capabilities: { portMappings: true } },
    ],
  }
  node.attach(network, { name: "shop/cart", ...publishing(8080) })
  leads("-A PREROUTING", 8080)
  expect(findings()).toEqual([])
  leads("-I PREROUTING", 8080)
  expect(findings()).toEqual(["host-port-shadowed shop/cart"])
})

describe("a process of the node that listens on a host port", () => {
  test.each(["tcp", "udp"] as const)("is named: %s", (protocol) => {
    node.attach(PODNET, { name: "shop/cart", ...publishing(8080, { protocol }) })
    using _other = new Echo(node, protocol, 8081)
    expect(findings()).toEqual([])
    using _server = new Echo(node, protocol, 8080)
    expect(findings()).toEqual(["host-port-listener shop/cart"])
    expect(node.doctor().findings[0]?.problem).toMatch(/^perl listens on its host port 8080/)
  })

  test("is none if it keeps the port for a container, as podman's conmon does", () => {
    node.attach(PODNET, { name: "shop/cart", ...publishing(8080) })
    using holder = new Holder(node)
    expect(readFileSync(`/proc/${holder.pid}/comm`, "utf8")).toBe("conmon\n")
    expect(node.doctor()).toMatchObject({ exitCode: 0, findings: [] })
  })
})

/** A process named conmon that listens on port 8080. */
class Holder implements Disposable {
  readonly pid: number

  constructor(on: OperatedNode) {
    const program = `
      use IO::Socket::IP; my $pid = fork; if ($pid) { sleep 1; print $pid; exit }
      open my $name, ">", "/proc/self/comm"; print $name "conmon"; close $name;
      my $socket = IO::Socket::IP->new(LocalHost => "::", LocalPort => 8080, Listen => 1) or die; close STDOUT; close STDERR; sleep 600`
    this.pid = Number(run(on.inside(["perl", "-e", program])).stdout)
  }

  [Symbol.dispose](): void {
    process.kill(this.pid, "SIGKILL")
  }
}
