import { afterAll, beforeAll, expect, test } from "vitest"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import { install } from "../lab/foreign.ts"
import { Node, type Pod } from "../lab/node.ts"
import { type Config, leased, leases, type Network } from "./bridge/network.ts"

/** A plugin whose interface has no end on the node, and the networks that tests make of it. */
export interface PodLink {
  /** The kind of the interface, in the words of CHECK. */
  readonly kind: string
  readonly network: (node: Node, config?: Config, implementation?: Implementation) => Network
  /** Gives the node the master. */
  readonly prepare?: (node: Node) => void
  /** host-local for such a network. */
  readonly ipam: (node: Node, more?: Config) => Config
  /** Keys without which a second pod cannot be beside the first. */
  readonly second?: Config
  /** Keys that make no sense. */
  readonly nonsense: Config
}

const QUIET = { exitCode: 0, stdout: "" }

export function linksIn(pod: Pod): (string | undefined)[] {
  return pod.ip("link", "show").map(({ ifname }) => ifname)
}

function prepared({ prepare }: PodLink): Node {
  const node = new Node()
  prepare?.(node)
  return node
}

/** Expects runtimeConfig's MAC address before CNI_ARGS' before the configuration's, and args.cni.mac not to count. */
export function expectMacOrder(link: PodLink): void {
  using node = prepared(link)
  const mac = (last: number) => `02:00:00:00:00:0${last}`
  const full = { mac: mac(1), runtimeConfig: { mac: mac(3) }, args: { cni: { mac: mac(4) } } }
  const given = (config: Config, args?: string) => {
    const pod = node.pod()
    const { interfaces } = link.network(node, config).connect(pod, args ? { args } : {})
    expect(interfaces?.[0]?.mac).toBe(pod.link("eth0")?.address)
    return interfaces?.[0]?.mac
  }
  expect(given({ mac: mac(1) })).toBe(mac(1))
  expect(given({ mac: mac(1) }, `MAC=${mac(2)}`)).toBe(mac(2))
  expect(given(full, `IgnoreUnknown=1;K8S=1;MAC=${mac(2)}`)).toBe(mac(3))
  expect(given({ args: { cni: { mac: mac(5) } } })).not.toBe(mac(5))
}

/** Expects a network without addresses to be one of layer 2, which 0.2.0 cannot express, and which has no CHECK below 0.4.0. */
export function expectLayer2(link: PodLink): void {
  using node = prepared(link)
  const pod = node.pod()
  expect(link.network(node, { cniVersion: "0.2.0" }).add(pod).error?.code).toBe(1)
  expect(linksIn(pod)).toEqual(["lo"])
  const network = link.network(node, { cniVersion: "0.3.1" })
  const result = network.connect(pod)
  expect([result.ips, pod.link("eth0")?.flags?.includes("UP")]).toEqual([undefined, true])
  expect(network.check(pod, result).error?.code).toBe(1)
}

/** Expects a second ADD to be refused and do the first no harm, and DEL of another network to spare it. */
export function expectSecondAddRefused(link: PodLink): void {
  using node = prepared(link)
  const network = link.network(node, { ipam: link.ipam(node) })
  const pod = node.pod()
  const result = network.connect(pod)
  const held = leases(node)
  expect(network.add(pod).error).toMatchObject({ code: 102, msg: 'interface "eth0" already exists in the pod' })
  expect(network.as("ours", { name: "other", ipam: link.ipam(node) }).del(pod)).toMatchObject(QUIET)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(leases(node)).toEqual(held)
}

/** Expects DEL to spare what an ADD of another attachment has not finished. */
export function expectUnfinishedSpared(link: PodLink): void {
  using node = prepared(link)
  const network = link.network(node, { ipam: link.ipam(node) })
  const pod = node.pod()
  network.connect(pod)
  pod.ip("link", "set", "eth0", "alias", "cni-ts012345678") // a temporary name, computed from its attachment
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(linksIn(pod)).toEqual(["lo", "eth0"])
}

/** Expects DEL to need neither namespace, nor a config that makes sense, nor an ADD before it. */
export function expectForgivingDel(link: PodLink): void {
  using node = prepared(link)
  const network = link.network(node, { ipam: link.ipam(node) })
  const [never, gone, odd] = [node.pod(), node.pod(), node.pod()]
  expect(network.del(never)).toMatchObject(QUIET)
  network.connect(gone)
  expect(network.ask("DEL", "", { containerId: gone.containerId })).toMatchObject(QUIET)
  expect(leases(node)).toEqual([])
  gone.ip("link", "del", "eth0")
  network.connect(odd)
  expect(network.del(odd, { config: link.nonsense })).toMatchObject(QUIET)
  expect([linksIn(odd), leases(node)]).toEqual([["lo"], []])
}

/** Expects GC to free the leases of attachments that are no longer valid. */
export function expectLeasesCollected(link: PodLink): void {
  using node = prepared(link)
  const network = link.network(node, { ipam: link.ipam(node) })
  const [kept, stale] = [node.pod(), node.pod()]
  const result = network.connect(kept)
  const held = leases(node)
  network.as("ours", link.second).connect(stale)
  expect(network.gc([kept])).toMatchObject(QUIET)
  expect(leases(node)).toEqual(held)
  expect(network.check(kept, result)).toMatchObject(QUIET)
}

export type Cause = readonly [config: (node: Node, ipam: PodLink["ipam"]) => Config, msg: string]

/** Reasons for which ADD fails once the interface is there, and what it says. */
export const NO_ADDRESS_LEFT: Cause = [
  (node, ipam) => {
    const { ranges } = ipam(node) as { ranges: { subnet: string }[][] }
    const range = ranges[0]?.[0]
    const first = range?.subnet.replace(/0\/24$/, "1")
    return { ipam: ipam(node, { ranges: [[{ ...range, rangeStart: first, rangeEnd: first, gateway: first }]] }) }
  },
  "no IP addresses available",
]
export const NO_ADDRESS: Cause = [() => ({ ipam: { type: "foreign" } }), "IPAM plugin returned missing IP config"]
export const FAR_GATEWAY: Cause = [
  (node, ipam) => ({ ipam: ipam(node, { routes: [{ dst: "10.5.0.0/16", gw: "172.31.9.9" }] }) }),
  "route",
]

/** Expects an ADD that fails for the cause to leave nothing; if `referenceLeaves`, that the reference's leaves the interface. */
export function expectNothingLeft(link: PodLink, [config, msg]: Cause, referenceLeaves = true): void {
  using node = prepared(link)
  const directory = install(node, "plugins", 'cat >/dev/null; [ "$CNI_COMMAND" = ADD ] && echo "{}"; true')
  const attempt = (implementation: Implementation) => {
    const pod = node.pod()
    const path = `${binDirectory(implementation)}:${directory}`
    const { error } = link.network(node, config(node, link.ipam), implementation).add(pod, { path })
    expect(error?.msg).toContain(msg)
    return { links: linksIn(pod), code: error?.code, leases: leased(node) }
  }
  const ours = attempt("ours")
  expect(ours).toMatchObject({ links: ["lo"], leases: [] })
  expect(ours.code).not.toBe(999)
  if (referenceLeaves) expect(attempt("reference").links).toEqual(["lo", "eth0"])
}

/** A change of the pod or the node, and what CHECK says from then on. */
export type Harm = readonly [harm: (pod: Pod, node: Node) => void, msg: string]

/** Changes one thing after the other, `own` ones among them, and expects CHECK to name the last. */
export function expectDifferencesNamed(link: PodLink, own: readonly Harm[] = [], config: Config = {}): void {
  using node = prepared(link)
  const network = link.network(node, { ...config, ipam: link.ipam(node, { routes: [{ dst: "10.5.0.0/16" }] }) })
  const pod = node.pod()
  const result = network.connect(pod)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  const [lease = ""] = leases(node)
  const said = () => network.check(pod, result).error?.msg
  const file = `${node.dir}/ipam/net/${lease}`
  node.run("mv", file, `${node.dir}/lease`)
  expect(said()).toContain("host-local")
  node.run("mv", `${node.dir}/lease`, file)
  const harms: Harm[] = [
    [() => void pod.ip("route", "del", "10.5.0.0/16"), "route 10.5.0.0/16 of eth0 is missing"],
    [() => void pod.ip("addr", "flush", "dev", "eth0"), `address ${lease}/24 is missing on eth0`],
    ...own,
    [
      () => {
        pod.ip("link", "del", "eth0")
        pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "x")
      },
      `interface eth0 is not a ${link.kind} but veth`,
    ],
    [() => void pod.ip("link", "del", "eth0"), "interface eth0 is gone"],
  ]
  for (const [harm, msg] of harms) {
    harm(pod, node)
    expect(said()).toContain(msg)
  }
}

/** A MAC address other than ADD's. */
export const OTHER_MAC: Harm = [
  (pod) => void pod.ip("link", "set", "eth0", "address", "02:00:00:00:00:55"),
  "MAC address of eth0 is 02:00:00:00:00:55, not ",
]

export type Refused = readonly [why: string, config: Config, code: number, msg: string]

/** Tests that ADD refuses each configuration, and the name of an interface that the pod has; and leaves nothing. */
export function testRefused(link: PodLink, cases: readonly Refused[]): void {
  let node: Node
  beforeAll(() => {
    node = prepared(link)
  })
  afterAll(() => node[Symbol.dispose]())

  test.each(cases)("%s", (_, config, code, msg) => {
    const pod = node.pod()
    const { error } = link.network(node, config).add(pod)
    expect(error).toMatchObject({ code, msg: expect.stringContaining(msg) })
    expect(linksIn(pod)).toEqual(["lo"])
  })

  test("for an interface that the pod has", () => {
    const pod = node.pod()
    expect(link.network(node).add(pod, { ifname: "lo" }).error).toMatchObject({ code: 102 })
    expect(linksIn(pod)).toEqual(["lo"])
  })
}
