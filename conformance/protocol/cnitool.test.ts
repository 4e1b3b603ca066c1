import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Result } from "../lab/call.ts"
import type { NetworkList } from "../lab/cnitool.ts"
import { Node, type Pod } from "../lab/node.ts"
import { snapshot } from "../lab/snapshot.ts"

const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]

/** cnitool names no attachment. */
const WITHOUT_LIST =
  "cni-ts bridge: GC came without cni.dev/valid-attachments: only what is certainly gone is removed\n"

describe.each(VERSIONS)("a network list at %s", (cniVersion) => {
  test("is added, checked, removed and removed again", () => {
    using node = new Node()
    const [network, netns] = [podNetwork(node, cniVersion), node.pod()]
    const added = node.cnitool({ command: "add", network, netns })
    expect(added).toMatchObject({ exitCode: 0, stderr: "" })
    const result: Result = JSON.parse(added.stdout)
    expect(result.cniVersion).toBe(cniVersion)
    expect(result.ip4?.ip ?? result.ips?.[0]?.address).toBe("10.244.1.2/24")
    expect(netns.addresses("eth0")).toEqual(["10.244.1.2/24", "fd00:10:244:1::2/64"])
    expect([netns.pings("10.244.1.1"), netns.pings("fd00:10:244:1::1")]).toEqual([true, true])

    const checked = node.cnitool({ command: "check", network, netns })
    if (cniVersion >= "0.4.0") expect(checked).toMatchObject({ exitCode: 0, stderr: "" })
    else expect(checked).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("does not support the CHECK") })

    for (const time of ["first", "second"]) {
      expect(node.cnitool({ command: "del", network, netns }), time).toMatchObject({ exitCode: 0, stderr: "" })
      expectNothingLeft(node, netns)
    }
  })

  test("says that it is ready, and gc removes an attachment that is not wanted any more", () => {
    using node = new Node()
    const [network, netns] = [podNetwork(node, cniVersion), node.pod()]
    expect(node.cnitool({ command: "status", network, netns })).toMatchObject({ exitCode: 0, stderr: "" })
    expect(node.cnitool({ command: "add", network, netns }).exitCode).toBe(0)
    expect(node.cnitool({ command: "gc", network, netns })).toMatchObject({
      exitCode: 0,
      stderr: cniVersion === "1.1.0" ? WITHOUT_LIST : "",
    })
    expectNothingLeft(node, netns)
  })
})

test("check notices that the pod has lost its address", () => {
  using node = new Node()
  const [network, netns] = [podNetwork(node, "1.1.0"), node.pod()]
  expect(node.cnitool({ command: "add", network, netns }).exitCode).toBe(0)
  netns.ip("addr", "del", "10.244.1.2/24", "dev", "eth0")
  expect(node.cnitool({ command: "check", network, netns })).toMatchObject({ exitCode: 1 })
})

test("gc, which names no attachment, leaves a pod that lives alone, also if libcni has forgotten it", () => {
  using node = new Node()
  const [network, netns] = [podNetwork(node, "1.1.0"), node.pod()]
  expect(node.cnitool({ command: "add", network, netns }).exitCode).toBe(0)
  rmSync(join(node.dir, "var-lib/cni"), { recursive: true })
  const before = snapshot(node)
  expect(node.cnitool({ command: "gc", network, netns })).toMatchObject({ exitCode: 0, stderr: WITHOUT_LIST })
  expect(snapshot(node)).toEqual(before)
})

test("CNI_ARGS, capability arguments and the interface name reach the plugins", () => {
  using node = new Node()
  const [network, netns] = [podNetwork(node, "1.1.0"), node.pod()]
  const args = "IgnoreUnknown=1;K8S_POD_NAME=p;IP=10.244.1.77"
  const capabilityArgs = { mac: "02:00:00:00:00:77" }
  expect(node.cnitool({ command: "add", network, netns, args, capabilityArgs, ifname: "net1" }).exitCode).toBe(0)
  expect(netns.addresses("net1")).toContain("10.244.1.77/24")
  expect(netns.link("net1")?.address).toBe("02:00:00:00:00:77")
})

/** Dual-stack, in the shape that Kubernetes clusters use. */
function podNetwork(node: Node, cniVersion: string): NetworkList {
  const ranges = [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]]
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }]
  const ipam = { type: "host-local", dataDir: join(node.dir, "ipam"), ranges, routes }
  const bridge = { type: "bridge", bridge: "cni0", isGateway: true, mtu: 1450, capabilities: { mac: true }, ipam }
  return { cniVersion, name: "podnet", plugins: [bridge, { type: "loopback" }] }
}

function expectNothingLeft(node: Node, pod: Pod): void {
  expect(pod.ip("link", "show").map((link) => link.ifname)).toEqual(["lo"])
  expect(node.ip("link", "show", "type", "veth")).toEqual([])
  expect(readdirSync(join(node.dir, "ipam/podnet")).filter((name) => /^[0-9a-f.:]+$/.test(name))).toEqual([])
}
