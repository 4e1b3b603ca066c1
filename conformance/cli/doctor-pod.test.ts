import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import type { NetworkList } from "../lab/cnitool.ts"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import type { View } from "../lab/namespace.ts"
import type { Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { LAN, OUTSIDE, plugIn } from "../plugins/macvlan/network.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { Nameserver } from "./nameserver.ts"
import { type Diagnosis, OperatedNode } from "./operated-node.ts"

const [FIRST, SECOND, THIRD] = ["10.96.0.10", "fd00:10:96::10", "10.96.0.53"] as const
const GATEWAY = "10.244.1.1"

/** A list whose pods are told of the nameservers. */
function resolving(list: NetworkList, nameservers: readonly string[]): NetworkList {
  const [first = { type: "bridge" }, ...rest] = list.plugins
  return { ...list, plugins: [{ ...first, dns: { nameservers } }, ...rest] }
}

const NETWORK = resolving(PODNET, [FIRST, SECOND])

/** A node with two pods and their nameservers, and what makes it whole again after each test. */
class AskedNode extends OperatedNode {
  readonly cart: Pod
  readonly web: Pod
  readonly #nameservers = new Map<string, Nameserver>()
  readonly #mends: (() => void)[] = []

  constructor(implementation: Implementation) {
    super()
    this.configure(NETWORK)
    this.cart = this.attach(NETWORK, { name: "shop/cart", implementation })
    this.web = this.attach(NETWORK, { name: "shop/web", implementation })
    for (const address of [FIRST, SECOND]) this.resolve(address)
    // The Go plugin's bridge forwards no IPv6 packet while its link-local address is tentative.
    output([
      "timeout",
      "10",
      ...this.inside(["sh", "-c", "while ip -6 addr show tentative | grep -q inet6; do sleep 0.05; done"]),
    ])
    // A bridge whose MTU somebody has set keeps it, whatever its ports' are.
    for (const mtu of ["1499", "1500"]) this.ip("link", "set", "cni0", "mtu", mtu)
  }

  /** Starts a nameserver in place of the one at the address, if there is one. */
  resolve(address: string, code: number | "hostile" = 0): void {
    this.silence(address)
    this.#nameservers.set(address, new Nameserver(this, this, address, code))
  }

  silence(address: string): void {
    this.#nameservers.get(address)?.[Symbol.dispose]()
    this.#nameservers.delete(address)
  }

  afterwards(mend: () => void): void {
    this.#mends.push(mend)
  }

  /** Changes a setting until the test is over. */
  set(view: View, name: string, value: string): void {
    const before = view.sysctl(name)
    view.sysctl(name, value)
    this.afterwards(() => view.sysctl(name, before))
  }

  /** Adds a table with one chain and one rule, until the test is over. */
  filter(family: string, hook: string, rule: string): void {
    const table = `add table ${family} test\n`
    const chain = `add chain ${family} test drops { type filter hook ${hook} priority 0; }\n`
    output(this.inside(["nft", "-f", "-"]), { stdin: `${table}${chain}add rule ${family} test drops ${rule} drop` })
    this.afterwards(() => output(this.inside(["nft", "delete", "table", family, "test"])))
  }

  mend(): void {
    for (const mend of this.#mends.splice(0).reverse()) mend()
  }

  /** The kernel's table of neighbours is one for all namespaces: while others fill it, what has to be asked cannot be seen. */
  override doctorAs(...args: Parameters<OperatedNode["doctorAs"]>): Diagnosis {
    for (let tries = 0; ; tries++) {
      const diagnosis = super.doctorAs(...args)
      const isFull = diagnosis.unseen.some((sentence) => /^cannot send to .*: (ENOBUFS|EINVAL)/.test(sentence))
      if (!isFull || tries === 20) return diagnosis
      output(["sleep", "1"])
    }
  }

  /** Returns kind and subject of each finding. */
  kinds(...args: string[]): string[][] {
    const { findings, unseen } = this.doctor(...args)
    expect(unseen).toEqual([])
    return findings.map(({ kind, about }) => [kind, about])
  }

  /** Expects exactly one finding, and returns its evidence, cause and mend. */
  finding(kind: string, about: string, ...args: string[]): string {
    const { findings, unseen, exitCode } = this.doctor(...args)
    expect([unseen, findings.map((finding) => [finding.kind, finding.about]), exitCode]).toEqual([
      [],
      [[kind, about]],
      1,
    ])
    return [...(findings[0]?.evidence ?? []), findings[0]?.cause, findings[0]?.mend].join("\n")
  }

  override [Symbol.dispose](): void {
    for (const address of this.#nameservers.keys()) this.silence(address)
    super[Symbol.dispose]()
  }
}

let node: AskedNode
let ofGo: AskedNode
beforeAll(() => {
  node = new AskedNode("ours")
  ofGo = new AskedNode("reference")
})
afterEach(() => {
  for (const each of [node, ofGo]) each.mend()
})
afterAll(() => {
  for (const each of [node, ofGo]) each?.[Symbol.dispose]()
})

describe.each<Implementation>(["reference", "ours"])("pods of the plugins that are %s", (implementation) => {
  const asked = () => (implementation === "ours" ? node : ofGo)

  test("who is answered by all gives no finding", () => {
    for (const args of [[], ["cart"], ["web"]])
      expect(asked().doctor(...args)).toMatchObject({ exitCode: 0, findings: [], unseen: [] })
  })

  test("a gateway that answers nobody", () => {
    asked().filter("bridge", "input", "ether type { ip, arp }")
    expect(asked().finding("gateway-silent", GATEWAY)).toContain(`arping -c 1 -I eth0 ${GATEWAY}: no answer`)
    expect(asked().finding("gateway-silent", "shop/web", "web")).toContain(`ping -c 1 ${GATEWAY}: no answer`)
  })

  test("a nameserver that is not there", () => {
    asked().silence(FIRST)
    asked().afterwards(() => asked().resolve(FIRST))
    const said = asked().finding("nameserver-silent", FIRST)
    expect(said).toContain(`dig @${FIRST} . NS: ECONNREFUSED`)
    expect(said).toContain(`ping -c 1 ${GATEWAY}: answered`)
    expect(asked().finding("nameserver-silent", "shop/cart", "cart")).toContain("ADD to podnet")
  })
})

test("pods of other plugins: who has a gateway asks it, and nobody asks if nobody can answer", () => {
  using other = new OperatedNode()
  plugIn(other)
  const attachTwo = (type: string, keys: object, ipam: object) => {
    const list = {
      cniVersion: "1.0.0",
      name: type,
      plugins: [{ type, ...keys, ipam: { type: "host-local", ...ipam } }],
    }
    other.configure(list)
    for (let count = 0; count < 2; count++) other.attach(list)
  }
  const routes = [{ dst: "0.0.0.0/0" }]
  attachTwo("ptp", {}, { subnet: "10.6.0.0/24", routes })
  attachTwo("macvlan", { master: "uplink" }, { subnet: LAN, rangeStart: "10.20.0.100", gateway: OUTSIDE, routes })
  attachTwo("tap", {}, { subnet: "10.8.0.0/24", routes })
  attachTwo("bridge", { bridge: "alone0" }, { subnet: "10.9.0.0/24" })
  expect(other.doctor()).toMatchObject({ exitCode: 0, findings: [], unseen: [], attachments: 8 })
})

describe("gateways", () => {
  test("that answer no neighbour discovery", () => {
    node.filter("ip6", "input", "iifname cni0 icmpv6 type { nd-neighbor-solicit, echo-request }")
    const said = node.finding("gateway-silent", "fd00:10:244:1::1")
    expect(said).toContain("ndisc6 -1 fd00:10:244:1::1 eth0: no answer")
  })

  test("that answer no echo request are well: a firewall may want it so", () => {
    node.set(node, "net/ipv4/icmp_echo_ignore_all", "1")
    expect(node.kinds()).toEqual([])
  })

  test("whose first answers are lost, as on a busy node, are asked again", () => {
    for (const pod of [node.cart, node.web]) output(pod.inside(["ip", "neigh", "flush", "dev", "eth0"]))
    node.filter("bridge", "input", "quota until 1000 bytes") // what the first pod asks
    expect(node.kinds()).toEqual([])
  })

  test("for which a pod answers as well, and which", () => {
    node.web.ip("address", "add", `${GATEWAY}/32`, "dev", "eth0")
    node.afterwards(() => node.web.ip("address", "del", `${GATEWAY}/32`, "dev", "eth0"))
    const said = node.finding("gateway-taken", "shop/cart")
    expect(said).toContain(`${node.web.link("eth0")?.address}: shop/web`)
    expect(said).toContain(`ip -br link show cni0: ${node.link("cni0")?.address}`)
  })

  test("to which packets of the MTU do not get", () => {
    const veth = node.ip("link", "show").find(({ ifindex }) => ifindex === node.web.link("eth0")?.link_index)?.ifname
    node.ip("link", "set", `${veth}`, "mtu", "1400")
    node.afterwards(() => node.ip("link", "set", `${veth}`, "mtu", "1500"))
    const said = node.finding("path-mtu", "shop/web")
    expect(said).toContain(`ping -c 1 -M do -s 1472 ${GATEWAY}: no answer`)
    expect(said).toContain(`ip link set ${veth} mtu 1500`)
  })
})

describe("other pods", () => {
  test("that the bridge does not pass packets to", () => {
    node.filter("bridge", "forward", "ether type { ip, arp }")
    expect(node.finding("pod-silent", "podnet")).toContain("isolated ports")
    expect(node.finding("pod-silent", "shop/cart", "cart")).toMatch(/^arping -c 1 -I eth0 10\.244\.1\.\d+: no answer/)
  })

  test("that a rule keeps packets from", () => {
    node.filter("bridge", "forward", "ip protocol icmp")
    expect(node.finding("pod-silent", "podnet")).toContain("FORWARD")
  })

  test("of which one answers no echo request are well: a policy may want it so", () => {
    node.set(node.web, "net/ipv4/icmp_echo_ignore_all", "1")
    for (const args of [[], ["cart"], ["web"]]) expect(node.kinds(...args)).toEqual([])
  })
})

describe("nameservers", () => {
  const answering = (code: number | "hostile") => {
    node.resolve(FIRST, code)
    node.afterwards(() => node.resolve(FIRST))
  }

  test.each([
    ["SERVFAIL", 2],
    ["REFUSED", 5],
  ])("that answer %s", (name, code) => {
    answering(code)
    expect(node.finding("nameserver-fails", FIRST)).toContain(`dig @${FIRST} . NS: ${name}`)
  })

  test("that know no such name are well", () => {
    answering(3)
    expect(node.kinds()).toEqual([])
  })

  test("whose answers make no sense", () => {
    answering("hostile")
    expect(node.finding("nameserver-silent", FIRST)).toContain(`dig @${FIRST} . NS: no answer`)
  })

  test("to which a rule lets nothing through", () => {
    node.filter("ip6", "input", "udp dport 53")
    expect(node.finding("nameserver-silent", SECOND)).toContain(`dig @${SECOND} . NS: no answer`)
  })

  test("to which there is no way", () => {
    node.cart.ip("route", "add", "unreachable", `${FIRST}/32`)
    node.afterwards(() => node.cart.ip("route", "del", "unreachable", `${FIRST}/32`))
    expect(node.finding("nameserver-silent", "shop/cart")).toContain("no way to it")
  })
})

describe("the resolv.conf of a pod's process", () => {
  let process: ChildProcess
  let path: string

  /** Starts a process in the second pod that has files of its own. */
  beforeAll(() => {
    const root = join(node.dir, "root")
    mkdirSync(join(root, "etc"), { recursive: true })
    output(["cp", join(binDirectory(), "cni-ts"), root])
    path = join(root, "etc/resolv.conf")
    const [enter = "", ...argv] = node.web.inside(["chroot", root, "/cni-ts", "idle"])
    process = spawn(enter, argv, { stdio: "ignore" })
    output([
      "timeout",
      "20",
      "sh",
      "-c",
      `until [ "$(readlink /proc/${process.pid}/root)" = ${root} ]; do sleep 0.01; done`,
    ])
  })
  afterEach(() => rmSync(path, { force: true }))
  afterAll(() => {
    process.kill("SIGKILL")
    output(["timeout", "20", "sh", "-c", `while [ -e /proc/${process.pid}/root/etc ]; do sleep 0.01; done`])
  })

  test("counts in place of what ADD answered", () => {
    writeFileSync(path, `search shop.svc.cluster.local svc.cluster.local\nnameserver ${THIRD}\n`)
    const said = node.finding("nameserver-silent", "shop/web")
    expect(said).toContain(`dig @${THIRD} kubernetes.default.svc.cluster.local.: `)
    expect(said).toContain(`/proc/${process.pid}/root/etc/resolv.conf: nameserver ${THIRD}`)
    node.resolve(THIRD)
    node.afterwards(() => node.silence(THIRD))
    expect(node.kinds()).toEqual([])
  })

  test("may hold anything", () => {
    const strange = `search svc.\x1b[31m svc.${"a".repeat(300)}\nnameserver fe80::1%eth0\nnameserver ${"1".repeat(5000)}\n`
    writeFileSync(path, `${strange}nameserver ${FIRST}\nnameserver ${FIRST}\n\0\xff`)
    expect(node.kinds()).toEqual([])
  })

  test("is not followed elsewhere, and nobody waits for it", () => {
    const elsewhere = join(node.dir, "elsewhere")
    writeFileSync(elsewhere, `nameserver ${THIRD}\n`)
    symlinkSync(elsewhere, path)
    expect(node.kinds()).toEqual([])
    rmSync(path)
    output(["mkfifo", path])
    expect(node.kinds()).toEqual([])
  })
})

describe("what cannot be asked is said, and is no finding", () => {
  const without = (capability: string) =>
    node.doctorAs(["setpriv", `--bounding-set=-${capability}`, `--inh-caps=-${capability}`, "--"])

  test("without CAP_NET_RAW", () => {
    expect(without("net_raw")).toMatchObject({ exitCode: 2, findings: [], unseen: [expect.stringContaining("EPERM")] })
  })

  test("without CAP_SYS_ADMIN", () => {
    const { exitCode, findings, unseen } = without("sys_admin")
    expect([exitCode, findings]).toEqual([2, []])
    expect(unseen.join()).toContain("enter network namespace")
  })
})
