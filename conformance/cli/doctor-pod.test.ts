import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import type { NetworkList } from "../lab/cnitool.ts"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import type { Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { LAN, OUTSIDE, plugIn } from "../plugins/macvlan/network.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { AskedNode } from "./asked-node.ts"
import { Nameserver } from "./nameserver.ts"
import { OperatedNode } from "./operated-node.ts"

const [FIRST, SECOND, THIRD] = ["10.96.0.10", "fd00:10:96::10", "10.96.0.53"] as const
const GATEWAY = "10.244.1.1"

/** A list whose pods are told of the nameservers. */
function resolving(list: NetworkList, nameservers: readonly string[]): NetworkList {
  const [first = { type: "bridge" }, ...rest] = list.plugins
  return { ...list, plugins: [{ ...first, dns: { nameservers } }, ...rest] }
}

const NETWORK = resolving(PODNET, [FIRST, SECOND])

/**
 * Loses the first four packets by which each pod asks who has its gateway: of doctor's first and second question, and the kernel's own for an echo
 * request, which it repeats after a second. The third question comes through.
 */
const LOSSY = `
  set askers { type ether_addr; flags dynamic; }
  set askers6 { type ether_addr; flags dynamic; }
  chain drops {
    type filter hook input priority 0
    arp daddr ip ${GATEWAY} update @askers { ether saddr quota until ${4 * 28 + 14} bytes } drop
    icmpv6 type nd-neighbor-solicit ip6 daddr ff02::1:ff00:1 update @askers6 { ether saddr quota until ${4 * 72 + 36} bytes } drop
  }`

/** A node with two pods and their nameservers. */
class ServedNode extends AskedNode {
  readonly cart: Pod
  readonly web: Pod
  readonly #nameservers = new Map<string, Nameserver>()

  constructor(implementation: Implementation) {
    super()
    this.configure(NETWORK)
    this.cart = this.attach(NETWORK, { name: "shop/cart", implementation })
    this.web = this.attach(NETWORK, { name: "shop/web", implementation })
    for (const address of [FIRST, SECOND]) this.resolve(address)
    this.settle()
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

  override [Symbol.dispose](): void {
    for (const address of this.#nameservers.keys()) this.silence(address)
    super[Symbol.dispose]()
  }
}

let node: ServedNode
let ofGo: ServedNode
beforeAll(() => {
  node = new ServedNode("ours")
  ofGo = new ServedNode("reference")
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
    node.load("bridge", LOSSY)
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
