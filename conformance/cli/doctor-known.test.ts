import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { goExecutable } from "../../lib/testing/go-executable.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

/** Faults of other people's software that others have reported. */
let node: OperatedNode
beforeAll(() => {
  node = new OperatedNode()
  node.configure(PODNET)
  for (const name of ["shop/cart", "shop/web"]) node.attach(PODNET, { name })
})
afterAll(() => node[Symbol.dispose]())

test("a node without them gives no finding", () => {
  expect(node.doctor()).toEqual({ exitCode: 0, findings: [], unseen: [], attachments: 2 })
})

/** Expects exactly one finding, of that kind and about that, while a file of the node has this content. */
function expectFinding(kind: string, about: string, file: string, content: string | Uint8Array, launcher?: string) {
  const path = join(node.dir, file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content, { mode: 0o755 })
  const { exitCode, findings, unseen } = node.doctorAs(launcher ? ["sh", "-c", `${launcher}; exec "$@"`, "sh"] : [])
  if (file === "kmsg") writeFileSync(path, "")
  else rmSync(path)
  expect(findings.map((finding) => [finding.kind, finding.about])).toEqual([[kind, about]])
  expect([exitCode, unseen]).toEqual([1, []])
  return findings[0]
}

/** A line that the kernel logged so many seconds ago, as /dev/kmsg has it. */
function logged(text: string, secondsAgo = 30, priority = 4): string {
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0])
  return `${priority},1234,${Math.round((uptime - secondsAgo) * 1e6)},-;${text}\n SUBSYSTEM=net\n`
}

describe("the kernel's log", () => {
  const STUCK = "unregister_netdevice: waiting for lo to become free. Usage count = 2"

  test.each([
    ["namespace-stuck", STUCK],
    ["conntrack-drops", "nf_conntrack: nf_conntrack: table full, dropping packet"],
    ["neighbours-full", "neighbour: arp_cache: neighbor table overflow!"],
  ])("%s: %s", (kind, text) => {
    const log = logged("cni0: port 1(veth0) entered disabled state") + logged(text)
    expect(expectFinding(kind, "the kernel", "kmsg", log)?.evidence).toEqual([
      `dmesg: ${text}`,
      expect.stringMatching(/^once in the last ten minutes, last 3\d s ago$/),
    ])
  })

  test("of a task that waits for the lock on networks", () => {
    const lines = [
      "INFO: task kworker/u8:2:77 blocked for more than 120 seconds.",
      "Call Trace:",
      " rtnl_lock+0x15/0x20",
    ]
    expectFinding("network-hangs", "the kernel", "kmsg", lines.map((line) => logged(line)).join(""))
  })

  test("that is old, or that a program wrote, says nothing", () => {
    writeFileSync(join(node.dir, "kmsg"), logged(STUCK, 700) + logged(STUCK, 30, 12))
    const { exitCode } = node.doctor()
    writeFileSync(join(node.dir, "kmsg"), "")
    expect(exitCode).toBe(0)
  })

  test("of this machine is read to its end without waiting; one that may not be read is told of", () => {
    const real = node.doctorAs(["timeout", "-s", "KILL", "60", "sh", "-c", 'umount /dev/kmsg; exec "$@"', "sh"])
    expect([real.attachments, real.unseen]).toEqual([2, []])
    const none = node.doctorAs(["sh", "-c", 'mount -t tmpfs none /dev; exec "$@"', "sh"])
    expect([none.exitCode, none.findings, none.unseen]).toEqual([2, [], [expect.stringContaining("/dev/kmsg: ENOENT")]])
  })
})

describe("releases", () => {
  const PLUGINS = "github.com/containernetworking/plugins"
  const plugin = (path: string, version: string) =>
    goExecutable(`${PLUGINS}/plugins/${path}`, [`mod\t${PLUGINS}\tv${version}\th1:x=`], machine())
  const machine = () => readFileSync(process.execPath).readUInt16LE(18)
  const asProgram = "mount --bind /var/lib/programs /usr/local/bin"

  test("of a plugin that a network names", () => {
    const before = readFileSync(join(node.plugins, "portmap"))
    rmSync(join(node.plugins, "portmap"))
    const found = expectFinding("known-plugin-fault", "portmap 1.0.1", "bin/portmap", plugin("meta/portmap", "1.0.1"))
    expect(found?.cause).toContain("containernetworking/plugins#705")
    expect(found?.mend).toBe("1.1.0 or later, or cni-ts install")
    writeFileSync(join(node.plugins, "portmap"), plugin("meta/portmap", "1.8.0"), { mode: 0o755 })
    expect(node.doctor().findings).toEqual([]) // its fault is one of the nftables backend
    node.configure({ ...PODNET, plugins: [...PODNET.plugins.slice(0, 1), { type: "portmap", backend: "nftables" }] })
    expect(node.doctor().findings.map(({ cause }) => cause)).toEqual(["a fault of that version: CVE-2025-67499"])
    node.configure(PODNET)
    writeFileSync(join(node.plugins, "portmap"), before, { mode: 0o755 })
  })

  test("of containerd", () => {
    const containerd = (version: string) =>
      goExecutable("github.com/containerd/containerd/cmd/containerd", [`mod\tx\tv${version}\t`])
    const file = "var-lib/programs/containerd"
    expectFinding("known-runtime-fault", "containerd 1.6.12", file, containerd("1.6.12"), asProgram)
    writeFileSync(join(node.dir, file), containerd("1.7.25"))
    expect(node.doctorAs(["sh", "-c", `${asProgram}; exec "$@"`, "sh"]).findings).toEqual([]) // no pod was lost
    node.lose(node.attach(PODNET, { name: "shop/lost" }))
    const { findings } = node.doctorAs(["sh", "-c", `${asProgram}; exec "$@"`, "sh"])
    expect(findings.map(({ kind }) => kind).sort()).toEqual(["known-runtime-fault", "no-namespace"])
    expect(findings.find(({ kind }) => kind === "known-runtime-fault")?.mend).toBe("containerd 1.7.31 or later")
    rmSync(join(node.dir, file))
    expect(node.cniTs("gc", "podnet", "--yes")).toMatchObject({ exitCode: 0 })
  })

  test("of Linux", () => {
    const asRelease = "mount --bind /var/lib/osrelease /proc/sys/kernel/osrelease"
    const [file, release] = ["var-lib/osrelease", "6.11.5-300.fc41.x86_64"]
    expectFinding("known-kernel-fault", `Linux ${release}`, file, `${release}\n`, asRelease)
    writeFileSync(join(node.dir, file), "6.11.50\n")
    expect(node.doctorAs(["sh", "-c", `${asRelease}; exec "$@"`, "sh"]).findings).toEqual([])
  })
})

describe("programs that take pods' interfaces for their own", () => {
  /** Has the node's own /run, with the namespaces of the machine's. */
  const asRun = "mount --rbind /run/netns /var/lib/run/netns; mount --rbind /var/lib/run /run"
  const doctor = () => node.doctorAs(["sh", "-c", `${asRun}; exec "$@"`, "sh"])
  const index = (name: string) => node.link(name)?.ifindex
  beforeAll(() => mkdirSync(join(node.dir, "var-lib/run/netns"), { recursive: true }))
  const veth = () => node.ip("link", "show", "type", "veth").find(({ master }) => master === "cni0")?.ifname ?? ""

  test("systemd-networkd, the bridge; not if it leaves it alone", () => {
    const state = (words: string) =>
      `# This is private data. Do not parse.\nADMIN_STATE=${words}\nOPER_STATE=routable\n`
    const file = `var-lib/run/systemd/netif/links/${index("cni0")}`
    const network = "NETWORK_FILE=/etc/systemd/network/10-all.network\n"
    expect(
      expectFinding("managed-link", "systemd-networkd", file, state("configured") + network, asRun)?.evidence,
    ).toEqual([`cni0: /run/systemd/netif/links/${index("cni0")}: configured by /etc/systemd/network/10-all.network`])
    writeFileSync(join(node.dir, file), state("unmanaged"))
    expect(doctor().findings).toEqual([])
  })

  test("NetworkManager, a host end", () => {
    const file = `var-lib/run/NetworkManager/devices/${index(veth())}`
    const state = "[device]\nmanaged=true\nconnection-uuid=5d1b2f6e\n"
    expect(expectFinding("managed-link", "NetworkManager", file, state, asRun)?.evidence.join()).toContain(veth())
    writeFileSync(join(node.dir, file), "[device]\nperm-hw-addr-fake=02:00:00:00:00:01\n")
    expect(doctor().findings).toEqual([])
  })
})

test("a memory that a power cut left empty, once it is old", () => {
  const pod = node.attach(PODNET, { name: "shop/broken" })
  const results = join(node.dir, "var-lib/cni/results")
  const name =
    readdirSync(results).find((entry) => readFileSync(join(results, entry), "utf8").includes('"broken"')) ?? ""
  truncateSync(join(results, name))
  expect(node.doctor()).toMatchObject({ exitCode: 2, findings: [] }) // it may be half-written for a moment
  utimesSync(join(results, name), 1_000_000, 1_000_000)
  const { findings } = node.doctor()
  expect(findings.map(({ kind, about }) => [kind, about])).toEqual([["broken-memory", `/var/lib/cni/results/${name}`]])
  rmSync(join(results, name))
  expect(node.cnitool({ command: "del", network: PODNET, netns: pod, path: node.plugins })).toMatchObject({
    exitCode: 0,
  })
})

test("rules of iptables-legacy beside those of iptables-nft", () => {
  const rule = ["-A", "INPUT", "-p", "tcp", "--dport", "9", "-j", "ACCEPT"]
  expect(node.run("iptables-nft", ...rule).exitCode).toBe(0)
  expect(node.doctor().findings).toEqual([])
  expect(node.run("iptables-legacy", ...rule).exitCode).toBe(0)
  const { findings } = node.doctor()
  expect(findings.map(({ kind, about }) => [kind, about])).toEqual([["two-iptables", "iptables -t filter"]])
  expect(findings[0]?.evidence).toEqual([
    "iptables-legacy-save -t filter: 1 beside the policies",
    "iptables-nft -t filter -S INPUT: 1 beside the policy",
  ])
  node.run("iptables-legacy", "-F")
  expect(node.doctor().findings).toEqual([])
})
