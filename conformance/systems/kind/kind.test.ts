import { copyFileSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { NetworkList } from "../../lab/cnitool.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Namespace } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { type Finished, output, run } from "../../lab/run.ts"
import { Stubs } from "./stubs.ts"

const first = new Node()
const second = new Node()
const outside = new Node()
const wire = new Namespace(`${first.name}-wire`)
const machines = [first, second, outside]
afterAll(() => {
  for (const machine of machines) machine[Symbol.dispose]()
  wire[Symbol.dispose]()
})

const CONFLIST = "etc/cni/net.d/10-cni-ts.conflist"
const NETWORK = `kind-control-plane 10.244.0.0/24,fd00:10:244::/64 172.30.0.1,fd00:30::1,
kind-worker 10.244.1.0/24,fd00:10:244:1::/64 172.30.0.2,fd00:30::2,
`

/** The nodes' network, with a machine in it that knows nothing of pods. */
beforeAll(() => {
  wire.ip("link", "add", "switch", "up", "type", "bridge")
  machines.forEach((machine, index) => {
    wire.ip(
      "link",
      "add",
      `port${index}`,
      "up",
      "master",
      "switch",
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      machine.name,
    )
    machine.ip("addr", "add", `172.30.0.${index + 1}/24`, "dev", "eth0")
    machine.ip("addr", "add", `fd00:30::${index + 1}/64`, "dev", "eth0", "nodad")
    machine.ip("link", "set", "eth0", "up")
  })
})

describe("create, with two nodes and both families", () => {
  const stubs = new Stubs(join(first.dir, "kind"), [
    { name: "kind-control-plane", netns: first.path },
    { name: "kind-worker", netns: second.path },
  ])
  const missing = NETWORK.replace("10.244.1.0/24,fd00:10:244:1::/64", "")
  stubs.network(missing, NETWORK)
  let created: Finished
  beforeAll(() => {
    created = stubs.script("create", "--ip-family", "dual", "--", "--image", "node:1")
  })
  const conflist = (node: string): NetworkList => JSON.parse(readFileSync(stubs.file(node, CONFLIST), "utf8"))

  test("asks kind for a cluster without a network of its own, and waits until the nodes are ready", () => {
    expect(created).toMatchObject({ exitCode: 0, stderr: "" })
    expect(readFileSync(join(stubs.directory, "config"), "utf8")).toBe(`kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  disableDefaultCNI: true
  ipFamily: dual
nodes:
  - role: control-plane
  - role: worker
`)
    const asked = stubs.log()
    expect(asked).toContain("kind create cluster --name kind --config - --image node:1")
    expect(asked.filter((line) => line === "kubectl --context kind-kind get nodes")).toHaveLength(2)
    expect(asked.at(-1)).toBe("kubectl --context kind-kind wait --for=condition=Ready")
  })

  test("installs the plugins on each node, and leaves no other copy", () => {
    for (const node of ["kind-control-plane", "kind-worker"]) {
      const bin = stubs.file(node, "opt/cni/bin")
      expect(readdirSync(bin).filter((name) => name !== ".cni-ts")).toEqual(readdirSync(binDirectory()).sort())
      for (const name of readdirSync(binDirectory()))
        expect(run(["cmp", join(bin, name), join(binDirectory(), name)])).toMatchObject({ exitCode: 0, stdout: "" })
      expect(existsSync(stubs.file(node, "opt/cni-ts/dist"))).toBe(false)
    }
  })

  test("gives each node a conflist with its own pod CIDRs", () => {
    const ranges = (node: string) => conflist(node).plugins[0]?.["ipam"]
    expect(ranges("kind-control-plane")).toMatchObject({
      ranges: [[{ subnet: "10.244.0.0/24" }], [{ subnet: "fd00:10:244::/64" }]],
    })
    expect(ranges("kind-worker")).toMatchObject({
      ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]],
    })
    expect(conflist("kind-worker").plugins.map(({ type }) => type)).toEqual(["bridge", "portmap", "bandwidth"])
  })

  test("has routes and masquerading set again when a node's container starts again", () => {
    expect(stubs.log().filter((line) => line.startsWith("systemctl"))).toHaveLength(2)
    const unit = readFileSync(stubs.file("kind-worker", "etc/systemd/system/cni-ts-network.service"), "utf8")
    expect(unit).toContain("ExecStart=/bin/sh /opt/cni-ts/network kind-worker\n")
  })

  test("pods reach each other over nodes with their own addresses, and the world with their node's", () => {
    const here = addPod(first, conflist("kind-control-plane"))
    const there = addPod(second, conflist("kind-worker"))
    for (const address of there.addresses) expect(reaches(here.pod, address), address).toBe(true)
    for (const address of ["172.30.0.3", "fd00:30::3"]) expect(reaches(here.pod, address), address).toBe(true)
    const [here4, here6] = here.addresses
    const [there4, there6] = there.addresses
    expect(answersTo(there4)).toContain(`src=${there4} dst=${here4} `)
    expect(answersTo(there6)).toContain(`src=${there6} dst=${here6} `)
    expect(answersTo("172.30.0.3")).toContain("src=172.30.0.3 dst=172.30.0.1 ")
    expect(answersTo("fd00:30::3")).toContain("src=fd00:30::3 dst=fd00:30::1 ")
    for (const { remove } of [here, there]) expect(remove()).toMatchObject({ exitCode: 0 })
  })

  test("doing it again changes nothing", () => {
    const state = () => [
      ...["kind-control-plane", "kind-worker"].map((node) => statSync(stubs.file(node, CONFLIST)).ino),
      ...[first, second].flatMap((node) => [
        ["-4", "-6"].map((family) => node.ip(family, "route", "show").filter(({ gateway }) => gateway)),
      ]),
      ...[first, second].map((node) => output(node.inside(["nft", "list", "table", "inet", "cni_ts_kind"]))),
    ]
    const before = state()
    const mark = stubs.log().length
    expect(stubs.script("create", "--ip-family", "dual")).toMatchObject({ exitCode: 0, stderr: "" })
    expect(
      stubs
        .log()
        .slice(mark)
        .filter((line) => line.startsWith("kind create")),
    ).toEqual([])
    expect(state()).toEqual(before)
  })

  test("uninstalling is refused where there is no network to go back to", () => {
    const refused = stubs.script("uninstall")
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("kind delete cluster --name kind") })
    expect(existsSync(stubs.file("kind-worker", "opt/cni/bin/bridge"))).toBe(true)
  })
})

describe.each(["docker", "nerdctl", "podman"])("swap under kind's default network, with %s", (provider) => {
  const stubs = new Stubs(join(second.dir, provider), [{ name: "other-control-plane", netns: second.path }], provider)
  stubs.ask(provider)
  const bin = stubs.file("other-control-plane", "opt/cni/bin")
  const SHIPPED = ["host-local", "loopback", "portmap", "ptp"]
  for (const plugin of SHIPPED) copyFileSync(join(binDirectory("reference"), plugin), join(bin, plugin))
  const isOurs = (plugin: string) => run(["cmp", "-s", join(bin, plugin), join(binDirectory(), plugin)]).exitCode === 0

  test("replaces the executables and nothing else; uninstall puts the Go plugins back", () => {
    expect(stubs.script("swap", "other")).toMatchObject({ exitCode: 0, stderr: "" })
    expect(SHIPPED.map(isOurs)).toEqual(SHIPPED.map(() => true))
    expect(existsSync(stubs.file("other-control-plane", "etc/cni"))).toBe(false)
    expect(stubs.script("uninstall", "other")).toMatchObject({ exitCode: 0, stderr: "" })
    expect(readdirSync(bin).sort()).toEqual(SHIPPED)
    for (const plugin of SHIPPED)
      expect(run(["cmp", join(bin, plugin), join(binDirectory("reference"), plugin)])).toMatchObject({ exitCode: 0 })
    expect(stubs.script("uninstall", "other")).toMatchObject({ exitCode: 0 })
    expect(new Set(stubs.log())).toEqual(
      new Set(["kind get nodes --name other", `${provider} exec -i other-control-plane`]),
    )
  })
})

/** Adds a pod to the network that was configured for its node, with leases in the test's own directory. */
function addPod(node: Node, { plugins: [bridge, ...others], ...list }: NetworkList) {
  if (!bridge) throw new Error("the conflist has no plugins")
  const ipam = { ...Object(bridge["ipam"]), dataDir: join(node.dir, "leases") }
  const network = { ...list, plugins: [{ ...bridge, ipam }, ...others] }
  const netns = node.pod()
  expect(node.cnitool({ command: "add", network, netns })).toMatchObject({ exitCode: 0 })
  const addresses = netns.addresses("eth0").map((address) => address.replace(/\/.*/, ""))
  return { pod: netns, addresses, remove: () => node.cnitool({ command: "del", network, netns }) }
}

/** A new bridge forwards IPv6 to its pods only when its own link-local address is known to be nobody else's: a second or two. */
function reaches(pod: Namespace, address: string): boolean {
  return pod.run("ping", "-n", "-q", "-c", "1", "-W", "10", address).exitCode === 0
}

/** The first node's record of a connection to that address: who answers, and whom. */
function answersTo(address: string | undefined): string | undefined {
  const lists = ["ipv4", "ipv6"].map((family) => output(first.inside(["conntrack", "-L", "-f", family])))
  return lists
    .join("")
    .split("\n")
    .find((line) => line.includes(`dst=${address} `))
}
