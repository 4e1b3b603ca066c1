import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

let node: OperatedNode
let pod: Pod
beforeEach(() => {
  node = new OperatedNode()
  node.configure(PODNET)
  node.attach(PODNET, { name: "shop/cart" })
  pod = node.attach(PODNET, { name: "shop/web" })
})
afterEach(() => node[Symbol.dispose]())

/** Expects exactly one finding, of that kind and about that, and returns all that it says. */
function expectFinding(kind: string, about: string): string {
  const { exitCode, findings, unseen } = node.doctor()
  expect(unseen).toEqual([])
  expect(findings.map((finding) => [finding.kind, finding.about])).toEqual([[kind, about]])
  expect(exitCode).toBe(1)
  return JSON.stringify(findings[0])
}

/** The node's end of the second pod's veth. */
function hostEnd(): string {
  const [{ link_index: index } = {}] = pod.ip("link", "show", "eth0")
  return node.ip("link", "show").find(({ ifindex }) => ifindex === index)?.ifname ?? ""
}

/** The runtime forgets a pod. */
function forget(name: string): void {
  const cache = join(node.dir, "var-lib/cni/results")
  const isOf = (entry: string) => readFileSync(join(cache, entry), "utf8").includes(`"${name}"`)
  for (const entry of readdirSync(cache).filter(isOf)) rmSync(join(cache, entry))
}

const leases = () => join(node.dir, "var-lib/cni/networks/podnet")
const inLeases = (name: string) => join(leases(), name)

describe("bridges", () => {
  test("down", () => {
    node.ip("link", "set", "cni0", "down")
    const { findings } = node.doctor()
    // The kernel takes its IPv6 addresses from a link that goes down.
    expect(findings.map(({ kind, about }) => [kind, about])).toEqual([
      ["bridge-down", "cni0"],
      ["no-gateway-address", "cni0"],
    ])
    expect(findings[0]?.mend).toBe("ip link set cni0 up")
  })

  test("without the gateway's address, which the mend gives it again", () => {
    node.ip("address", "del", "10.244.1.1/24", "dev", "cni0")
    expect(expectFinding("no-gateway-address", "cni0")).toContain("ip address add 10.244.1.1/24 dev cni0")
    node.ip("address", "add", "10.244.1.1/24", "dev", "cni0")
    expect(node.doctor().findings).toEqual([])
  })

  test("with another address", () => {
    node.ip("address", "del", "10.244.1.1/24", "dev", "cni0")
    node.ip("address", "add", "10.244.1.254/24", "dev", "cni0")
    expect(expectFinding("no-gateway-address", "cni0")).toContain("10.244.1.254/24")
  })

  test("left by the veth of a pod", () => {
    const veth = hostEnd()
    node.ip("link", "set", veth, "nomaster")
    expect(expectFinding("left-bridge", "shop/web")).toContain(`ip link set ${veth} master cni0`)
  })

  test("with the node's end of a veth down", () => {
    node.ip("link", "set", hostEnd(), "down")
    expect(expectFinding("veth-down", "shop/web")).toContain(`ip link set ${hostEnd()} up`)
  })

  test("that are gone", () => {
    node.ip("link", "del", "cni0")
    expect(expectFinding("no-bridge", "cni0")).toContain("restart the pods of podnet")
  })

  test("with a smaller MTU than a pod", () => {
    node.ip("link", "set", "cni0", "mtu", "1400")
    expect(node.doctor().findings.map(({ kind, about }) => [kind, about])).toEqual([
      ["mtu", "shop/cart"],
      ["mtu", "shop/web"],
    ])
  })
})

test("a pod that its runtime forgets while doctor is at work is no finding: a DEL has removed what it lacks", () => {
  const cache = join(node.dir, "var-lib/cni/results")
  const isWeb = (entry: string) => readFileSync(join(cache, entry), "utf8").includes('"web"')
  pod.ip("link", "del", "eth0")
  node.run(
    "nft",
    "add table bridge mute; add chain bridge mute drops { type filter hook input priority 0; policy drop; }",
  )
  const doctor = "/opt/cni/bin/cni-ts doctor -o json || true"
  const kinds = (script: string) => [
    ...new Set(JSON.parse(node.shell(script).stdout).findings.map((finding: { kind: string }) => finding.kind)),
  ]
  expect(kinds(doctor)).toEqual(["gateway-silent", "no-interface"])
  const meanwhile = `sleep 1; rm /var/lib/cni/results/${readdirSync(cache).find(isWeb)}; wait`
  expect(kinds(`(${doctor}) & ${meanwhile}`)).toEqual(["gateway-silent"])
})

describe("leases", () => {
  test("of a pod that nobody remembers, once they are old", () => {
    writeFileSync(inLeases("10.244.1.77"), "gone\r\neth0")
    expect(node.doctor().findings).toEqual([])
    utimesSync(inLeases("10.244.1.77"), 1_000_000, 1_000_000)
    expect(expectFinding("stale-leases", "podnet")).toContain("10.244.1.77: gone")
  })

  test("that a living pod lost", () => {
    const address = pod.addresses("eth0")[0]?.split("/")[0] ?? ""
    rmSync(inLeases(address))
    expect(expectFinding("no-lease", "shop/web")).toContain(address)
  })

  test("given twice: the directory was emptied", () => {
    for (const name of readdirSync(leases())) rmSync(inLeases(name), { recursive: true })
    rmSync(join(node.dir, "var-lib/cni/networks/.cni-ts"), { recursive: true, force: true })
    node.attach(PODNET, { name: "shop/new" })
    const { findings } = node.doctor()
    const twice = findings.filter(({ kind }) => kind === "address-twice")
    expect(twice.map(({ about }) => about)).toContain("10.244.1.2")
    expect(twice[0]?.evidence.join()).toMatch(/shop\/cart.*shop\/new/)
  })

  test("of a range that is nearly exhausted, and then exhausted", () => {
    const small = {
      cniVersion: "1.0.0",
      name: "small",
      plugins: [
        { type: "bridge", bridge: "small0", ipam: { type: "host-local", ranges: [[{ subnet: "10.9.9.0/28" }]] } },
      ],
    }
    node.configure(small)
    for (let count = 0; count < 12; count++) node.attach(small)
    expect(expectFinding("range-nearly-exhausted", "small")).toContain("1 of 13 addresses are left")
    node.attach(small)
    expect(expectFinding("range-exhausted", "small")).toContain("13 of 13 leased")
  })
})

describe("the node", () => {
  test("that stopped forwarding", () => {
    node.sysctl("net/ipv4/ip_forward", "0")
    expect(expectFinding("no-forwarding", "IPv4")).toContain("sysctl -w net.ipv4.ip_forward=1")
  })

  test("that stopped forwarding IPv6", () => {
    node.sysctl("net/ipv6/conf/all/forwarding", "0")
    expect(expectFinding("no-forwarding", "IPv6")).toContain("sysctl -w net.ipv6.conf.all.forwarding=1")
  })

  test("with a link of an attachment that nobody remembers, once its ADD must have ended", () => {
    const veth = hostEnd()
    forget("web")
    expect(node.doctor()).toMatchObject({ exitCode: 0, findings: [] })
    for (const name of readdirSync(leases())) utimesSync(inLeases(name), 1_000_000, 1_000_000)
    expect(expectFinding("orphan", veth)).toContain("cni-ts gc podnet")
  })

  test("whose table of connections is nearly full: the limit is the machine's, so that a smaller one lies over it", () => {
    for (let port = 1; port <= 20; port++)
      output(
        node.inside([
          "conntrack",
          "-I",
          "-p",
          "udp",
          "-s",
          "192.0.2.1",
          "-d",
          "192.0.2.2",
          "--sport",
          `${port}`,
          "--dport",
          "9",
          "-t",
          "600",
        ]),
      )
    expect(node.doctor().findings).toEqual([])
    const limited =
      'echo 22 >/var/lib/max; mount --bind /var/lib/max /proc/sys/net/netfilter/nf_conntrack_max; exec "$@"'
    const { findings } = node.doctorAs(["sh", "-c", limited, "sh"])
    expect(findings.map(({ kind }) => kind)).toEqual(["conntrack-full"])
    expect(findings[0]?.evidence).toEqual([
      "sysctl net.netfilter.nf_conntrack_count: 20",
      "sysctl net.netfilter.nf_conntrack_max: 22",
    ])
  })
})

describe("what nobody owns", () => {
  const chain = [
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "firewall" },
    { type: "bandwidth", capabilities: { bandwidth: true } },
  ]
  const network = {
    ...PODNET,
    name: "masked",
    plugins: [
      {
        ...PODNET.plugins[0],
        type: "bridge",
        bridge: "cni1",
        ipMasq: true,
        ipam: { type: "host-local", ranges: [[{ subnet: "10.9.9.0/24" }]] },
      },
      ...chain,
    ],
  }
  const capabilityArgs = {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    bandwidth: { egressRate: 1_000_000, egressBurst: 1_000_000 },
  }

  test.each(["ours", "reference"] as const)(
    "of a pod that is gone: rules, ifb and leases, made by %s",
    (implementation) => {
      const wish = { name: "shop/lost", capabilityArgs, ...(implementation === "reference" && { implementation }) }
      const lost = node.attach(network, wish)
      expect(node.doctor().findings).toEqual([])
      forget("lost")
      node.lose(lost)
      expect(node.doctor().findings).toEqual([])
      rmSync(join(node.dir, "var-lib/cni/networks/masked"), { recursive: true })
      const { findings } = node.doctor()
      const [about = ""] = findings.map((finding) => finding.about).filter((name) => name.startsWith("bwp"))
      expect(node.ip("link", "show", "type", "ifb").map(({ ifname }) => ifname)).toEqual([about])
      expect(findings.map(({ kind }) => kind)).toEqual(implementation === "ours" ? ["orphan"] : ["orphan", "orphan"])
      node.ip("link", "del", about)
      const rest = node.doctor().findings
      expect(rest.map((finding) => [finding.kind, finding.about])).toEqual([["orphan", rest[0]?.about]])
      expect(rest[0]?.evidence.join()).toMatch(/masq_checks.*hostports|hostports.*masq_checks|CNI-HOSTPORT-DNAT/)
    },
  )
})

describe("the kernel", () => {
  test("that cannot police is told of, if a network wants it to, and no other", () => {
    const knows =
      node.run("tc", "actions", "add", "action", "police", "rate", "1mbit", "burst", "10k", "drop").exitCode === 0
    node.configure({
      ...PODNET,
      plugins: [
        ...PODNET.plugins.slice(0, 2),
        { type: "bandwidth", egressMode: "police", capabilities: { bandwidth: true } },
      ],
    })
    expect(node.doctor().findings.map(({ kind }) => kind)).toEqual(knows ? [] : ["no-police"])
  })
})

describe("plugins", () => {
  test("that are missing", () => {
    rmSync(join(node.plugins, "portmap"))
    expect(expectFinding("no-plugin", "portmap")).toContain("/opt/cni/bin")
  })

  test("that cannot be executed", () => {
    copyFileSync(join(node.plugins, "portmap"), join(node.plugins, "copy"))
    output(["mv", join(node.plugins, "copy"), join(node.plugins, "portmap")])
    chmodSync(join(node.plugins, "portmap"), 0o644)
    expect(expectFinding("not-executable", "/opt/cni/bin/portmap")).toContain("chmod 755")
  })

  test("for another architecture", () => {
    const bytes = readFileSync(join(node.plugins, "portmap"))
    bytes.writeUInt16LE(8, 18)
    rmSync(join(node.plugins, "portmap"))
    writeFileSync(join(node.plugins, "portmap"), bytes, { mode: 0o755 })
    expect(expectFinding("other-architecture", "/opt/cni/bin/portmap")).toContain("ELF machine 8")
  })

  test("of which none knows the version", () => {
    node.configure({ ...PODNET, cniVersion: "9.9.9" })
    expect(expectFinding("unknown-version", "/etc/cni/net.d/podnet.conflist")).toContain("9.9.9")
  })

  test("of which one does not know the version", () => {
    node.configure({ ...PODNET, cniVersion: "0.3.1", name: "old", plugins: [{ type: "bridge" }, { type: "firewall" }] })
    expect(expectFinding("unknown-version", "/etc/cni/net.d/old.conflist")).toContain("firewall does not know")
  })
})
