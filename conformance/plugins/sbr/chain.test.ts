import { join } from "node:path"
import { expect, test } from "vitest"
import { environment, stdin } from "../../lab/call.ts"
import { Chain } from "../../lab/chain.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { hostLocal, Network } from "../bridge/network.ts"
import { dualOfLan, macvlan, OUTSIDE, OUTSIDE6, plugIn } from "../macvlan/network.ts"
import { podOfTwo, rules, Sbr, told, V4, V6, wayOf } from "./network.ts"

/** As Multus calls them: the pod's own network first, then the one that an annotation asks for. */
test("macvlan and sbr for net1 beside bridge for eth0: each address is answered by its own interface, and net1 leaves alone", () => {
  using node = new Node()
  plugIn(node)
  const pod = node.pod()
  const cluster = new Network(node, { isDefaultGateway: true, ipam: hostLocal(node) })
  cluster.connect(pod)
  const before = pod.ip("route", "show")
  const { config } = macvlan(node, { ipam: { ...dualOfLan(node), routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] } })
  const lan = { name: "lan", cniVersion: "1.0.0", plugins: [config, { type: "sbr" }] }
  const chain = new Chain(node, lan as unknown as Chain["list"], { netns: pod, ifname: "net1" })
  expect(chain.add()).toMatchObject([{ exitCode: 0 }, { exitCode: 0, stderr: "" }])
  expect(pod.ip("route", "show")).toEqual(before)
  expect(rules(pod)).toEqual(["10.20.0.100 to 100", "fd20::100 to 101"])
  const ways = [
    ["10.20.0.100", "203.0.113.9"],
    ["10.244.1.2", "203.0.113.9"],
    ["fd20::100", "fd77::9"],
  ].map(([from = "", to = ""]) => wayOf(pod, from, to))
  expect(ways).toEqual([`net1 via ${OUTSIDE}`, "eth0 via 10.244.1.1", `net1 via ${OUTSIDE6}`])
  for (const [from, to] of [
    ["10.20.0.100", OUTSIDE],
    ["fd20::100", OUTSIDE6],
    ["10.244.1.2", "10.244.1.1"],
  ] as const) {
    expect(pod.run("ping", "-n", "-c1", "-W2", "-I", from, to).exitCode, `${from} to ${to}`).toBe(0)
  }
  expect(chain.check()).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }])
  expect(chain.del()).toMatchObject([
    { exitCode: 0, stdout: "" },
    { exitCode: 0, stdout: "" },
  ])
  expect([rules(pod), pod.link("net1"), pod.pings("10.244.1.1")]).toEqual([[], undefined, true])
})

test("a result that nobody takes leaves the pod as it was", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  for (const config of [{}, { table: 5000 }, { prevResult: told(pod, [V4, { ...V6, gateway: undefined }]) }]) {
    const before = snapshot(node)
    const call = { command: "ADD", netns: pod, ifname: "net1", config: { ...new Sbr(node, pod).config, ...config } }
    const argv = node.inside(["sh", "-c", 'exec "$0" >/dev/full', join(binDirectory(), "sbr")])
    expect(run(argv, { env: environment(call), stdin: stdin(call) }).exitCode).not.toBe(0)
    expect(snapshot(node)).toEqual(before)
  }
})
