import { expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { Network, port, ports } from "./network.ts"

test("pods of a network without ipam share a segment, with no address but those they give themselves", () => {
  using node = new Node()
  const [network, one, two] = [new Network(node), node.pod(), node.pod()]
  const result = network.connect(one)
  network.connect(two)
  expect(Object.keys(result)).toEqual(["cniVersion", "interfaces"])
  expect(result.interfaces?.map(({ name, sandbox }) => [name, sandbox])).toEqual([
    ["cni0", undefined],
    [expect.stringMatching(/^veth[0-9a-v]{11}$/), undefined],
    ["eth0", one.path],
  ])
  expect([one.addresses("eth0"), node.addresses("cni0")]).toEqual([[], []])
  expect(one.link("eth0")?.flags).toContain("UP")
  for (const [pod, address] of [
    [one, "10.9.0.1/24"],
    [two, "10.9.0.2/24"],
  ] as const) {
    pod.ip("addr", "add", address, "dev", "eth0")
  }
  expect(one.pings("10.9.0.2")).toBe(true)
})

test("the result tells the MAC addresses that the links have", () => {
  using node = new Node()
  const pod = node.pod()
  const [bridge, veth, inPod] = new Network(node).connect(pod).interfaces ?? []
  expect(bridge?.mac).toBe(node.link("cni0")?.address)
  expect(veth?.mac).toBe(node.link(veth?.name ?? "")?.address)
  expect(inPod?.mac).toBe(pod.link("eth0")?.address)
})

test("without a name in the config the bridge is cni0", () => {
  using node = new Node()
  new Network(node, { bridge: "" }).connect(node.pod())
  expect(node.link("cni0")).toMatchObject({ linkinfo: { info_kind: "bridge" }, flags: expect.arrayContaining(["UP"]) })
})

test("CHECK, DEL and a second DEL of a network without ipam succeed (the reference's CHECK asks for an IPAM plugin)", () => {
  using node = new Node()
  const [network, pod] = [new Network(node), node.pod()]
  const result = network.connect(pod)
  expect(network.as("reference").check(pod, result).error?.msg).toContain("no plugin name provided")
  expect(network.check(pod, result)).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
  for (const time of ["first", "second"]) {
    expect(network.del(pod), time).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect([pod.link("eth0"), ports(node)], time).toEqual([undefined, []])
  }
})

test("an existing bridge is used as it is, even if it was down", () => {
  using node = new Node()
  output(node.inside(["ip", "link", "add", "cni0", "address", "02:00:00:00:00:aa", "type", "bridge", "stp_state", "1"]))
  const before = node.link("cni0")
  const [network, pod] = [new Network(node), node.pod()]
  network.connect(pod)
  const after = node.link("cni0")
  expect([after?.ifindex, after?.address]).toEqual([before?.ifindex, before?.address])
  expect(after?.linkinfo?.info_data).toMatchObject({ stp_state: 1 })
  expect(after?.flags).toContain("UP")
  expect(network.del(pod).exitCode).toBe(0)
  expect(node.link("cni0")?.ifindex).toBe(before?.ifindex)
})

test("disableContainerInterface leaves the pod end down, and ADD does not wait for it", () => {
  using node = new Node()
  const [network, pod] = [new Network(node, { disableContainerInterface: true }), node.pod()]
  const result = network.connect(pod)
  expect(pod.link("eth0")?.flags).not.toContain("UP")
  expect(port(node)["state"]).toBe("disabled")
  expect(network.check(pod, result).exitCode).toBe(0)
  expect(network.del(pod).exitCode).toBe(0)
  expect(pod.link("eth0")).toBeUndefined()
})

test("a pod may be attached twice by two interface names, and to two networks on one bridge", () => {
  using node = new Node()
  const [network, pod] = [new Network(node), node.pod()]
  network.connect(pod, { ifname: "eth0" })
  network.connect(pod, { ifname: "eth1" })
  new Network(node, { name: "other" }).connect(pod, { ifname: "eth2" })
  expect(ports(node)).toHaveLength(3)
  expect(network.del(pod, { ifname: "eth1" }).exitCode).toBe(0)
  expect(["eth0", "eth1", "eth2"].map((name) => pod.link(name) !== undefined)).toEqual([true, false, true])
})

test("DEL leaves nothing but the bridge", () => {
  using node = new Node()
  const [network, pod] = [new Network(node), node.pod()]
  network.connect(pod)
  network.del(pod)
  const before = snapshot(node)
  network.connect(pod)
  network.del(pod)
  expect(snapshot(node)).toEqual(before)
})

test("ADDs that make a bridge at the same moment all succeed", async () => {
  using node = new Node()
  const network = new Network(node)
  const pods = Array.from({ length: 6 }, () => node.pod())
  const call = { command: "ADD", config: network.config }
  const added = await Promise.all(pods.map((netns) => node.callAsync("bridge", { ...call, netns })))
  expect(added.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(pods.map(() => [0, ""]))
  expect(ports(node)).toHaveLength(6)
  expect(new Set(added.map(({ result }) => result?.interfaces?.[0]?.mac)).size).toBe(1)
})
