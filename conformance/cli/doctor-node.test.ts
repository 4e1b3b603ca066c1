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

  test("with a link of an attachment that nobody remembers", () => {
    const cache = join(node.dir, "var-lib/cni/results")
    const remembered = (name: string) => readFileSync(join(cache, name), "utf8").includes('"web"')
    const entry = readdirSync(cache).find(remembered) ?? ""
    const veth = hostEnd()
    rmSync(join(cache, entry))
    expect(expectFinding("orphan", veth)).toContain("cni-ts gc podnet")
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
})
