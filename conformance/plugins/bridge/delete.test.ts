import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeEach, describe, expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { DUAL, hostLocal, leases, Network, ports, settled } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }

describe("DEL removes the veth and the lease", () => {
  const node = new Node()
  afterAll(() => node[Symbol.dispose]())
  const network = new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, DUAL) })
  let pod: Pod
  beforeEach(() => {
    pod = node.pod()
    network.connect(pod)
    expect([ports(node).length, leases(node).length]).toEqual([1, 2])
  })

  function expectNothingLeft(): void {
    expect([ports(node), leases(node)]).toEqual([[], []])
    expect(network.del(pod), "again").toMatchObject(QUIET)
  }

  test("with netns and prevResult, as a runtime calls it", () => {
    expect(network.del(pod)).toMatchObject(QUIET)
    expectNothingLeft()
  })

  test("without netns (the reference leaves the veth)", () => {
    expect(network.ask("DEL", undefined, { containerId: pod.containerId })).toMatchObject(QUIET)
    expectNothingLeft()
    expect(pod.link("eth0")).toBeUndefined()
  })

  test("with an empty netns (the reference leaves the veth)", () => {
    expect(network.ask("DEL", "", { containerId: pod.containerId })).toMatchObject(QUIET)
    expectNothingLeft()
  })

  test("when the netns is not where it was (the reference leaves the veth)", () => {
    const netns = `/run/netns/${node.name}-gone`
    expect(network.ask("DEL", netns, { containerId: pod.containerId })).toMatchObject(QUIET)
    expectNothingLeft()
  })

  test("when the netns path became a plain file (the reference fails and keeps the lease)", () => {
    const netns = join(node.dir, "netns")
    writeFileSync(netns, "")
    const { containerId } = pod
    expect(network.as("reference").ask("DEL", netns, { containerId }).error?.msg).toContain("unknown FS magic")
    expect(network.ask("DEL", netns, { containerId })).toMatchObject(QUIET)
    expectNothingLeft()
  })

  test("when the pod has lost its interface", () => {
    output(pod.inside(["ip", "link", "del", "eth0"]))
    expect(network.del(pod)).toMatchObject(QUIET)
    expectNothingLeft()
  })

  test("when the pod's interface was renamed", () => {
    output(pod.inside(["ip", "link", "set", "eth0", "name", "eth7"]))
    expect(network.del(pod)).toMatchObject(QUIET)
    expectNothingLeft()
    expect(pod.link("eth7")).toBeUndefined()
  })

  test("when the pod's interface was renamed and another one has its name", () => {
    for (const change of ["set eth0 down", "set eth0 name eth7", "add eth0 type bridge"]) {
      output(pod.inside(["ip", "link", ...change.split(" ")]))
    }
    expect(network.del(pod)).toMatchObject(QUIET)
    expect([ports(node), leases(node), pod.link("eth7")]).toEqual([[], [], undefined])
    expect(pod.link("eth0")?.linkinfo?.info_kind).toBe("bridge")
  })

  test("but no veth of the computed name that says it is another's", () => {
    const [port] = ports(node)
    const name = port?.ifname ?? ""
    output(node.inside(["ip", "link", "set", name, "alias", "cni-ts net another-container eth0"]))
    expect(network.ask("DEL", "", { containerId: pod.containerId })).toMatchObject(QUIET)
    expect([ports(node).map(({ ifname }) => ifname), leases(node)]).toEqual([[name], []])
    output(node.inside(["ip", "link", "del", name]))
  })

  test("when the files of host-local are gone", () => {
    output(["rm", "-r", join(node.dir, "ipam")])
    expect(network.del(pod)).toMatchObject(QUIET)
    expect(ports(node)).toEqual([])
  })

  test("when the bridge was deleted", () => {
    output(node.inside(["ip", "link", "del", "cni0"]))
    expect(network.del(pod)).toMatchObject(QUIET)
    expect([pod.link("eth0"), leases(node)]).toEqual([undefined, []])
  })

  test("while the bridge, its addresses and other pods stay", () => {
    const other = node.pod()
    network.connect(other)
    const before = node.ip("addr", "show", "dev", "cni0")
    expect(network.del(pod)).toMatchObject(QUIET)
    expect(node.ip("addr", "show", "dev", "cni0")).toEqual(before)
    expect(other.pings("10.244.1.1")).toBe(true)
    expect(network.del(other)).toMatchObject(QUIET)
  })
})

describe("DEL of an attachment whose ADD failed", () => {
  test("for a name that another network has in the pod leaves that network's interface", () => {
    using node = new Node()
    const pod = node.pod()
    new Network(node, { ipam: hostLocal(node) }).connect(pod)
    const second = new Network(node, { name: "second" })
    expect(second.add(pod).error?.code).toBe(102)
    expect(second.del(pod)).toMatchObject(QUIET)
    expect([pod.link("eth0")?.ifname, ports(node).length]).toEqual(["eth0", 1])
  })

  test("for the name lo succeeds", () => {
    using node = new Node()
    const pod = node.pod()
    const network = new Network(node, { ipam: hostLocal(node) })
    expect(network.add(pod, { ifname: "lo" }).exitCode).toBe(1)
    expect(network.del(pod, { ifname: "lo" })).toMatchObject(QUIET)
    expect([pod.link("lo")?.ifname, ports(node)]).toEqual(["lo", []])
  })
})

test("DEL of what was never added succeeds and makes nothing", () => {
  using node = new Node()
  const [pod, before] = [node.pod(), settled(node)]
  expect(new Network(node).del(pod)).toMatchObject(QUIET)
  expect(new Network(node, { ipam: hostLocal(node) }).ask("DEL", "")).toMatchObject(QUIET)
  expect(settled(node)).toEqual(before)
  expect(existsSync(join(node.dir, "ipam/net/10.244.1.2"))).toBe(false)
})

test("DEL fails if IPAM does, after the interface is gone, and succeeds once IPAM does", () => {
  using node = new Node()
  const network = new Network(node, { ipam: hostLocal(node) })
  const pod = node.pod()
  network.connect(pod)
  const failing = { config: { ipam: { ...hostLocal(node), type: "missing" } } }
  expect(network.del(pod, failing)).toMatchObject({ exitCode: 1, error: { code: 7 } })
  expect(network.del(pod)).toMatchObject(QUIET)
  expect([ports(node), leases(node)]).toEqual([[], []])
})
