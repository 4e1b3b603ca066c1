import { expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal, leases, routes } from "../bridge/network.ts"
import { dummy } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

test.each(["0.4.0", "1.0.0", "1.1.0"])("a dummy is added, checked and removed at %s", (cniVersion) => {
  using node = new Node()
  const pod = node.pod()
  const network = dummy(node, { cniVersion })
  const result = network.connect(pod)
  expect(result.interfaces).toEqual([{ name: "eth0", mac: pod.link("eth0")?.address, sandbox: pod.path }])
  expect(result.ips?.[0]).toMatchObject({ address: "10.244.1.2/24", gateway: "10.244.1.1", interface: 0 })
  expect(pod.link("eth0")).toMatchObject({ linkinfo: { info_kind: "dummy" }, flags: expect.arrayContaining(["UP"]) })
  expect([pod.addresses("eth0"), pod.pings("10.244.1.2")]).toEqual([["10.244.1.2/24"], false]) // `lo` is down
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect([network.del(pod), network.del(pod)]).toMatchObject([QUIET, QUIET])
  expect([pod.link("eth0"), leases(node)]).toEqual([undefined, []])
})

test("dual stack: both addresses are usable when ADD returns; routes go by the address's gateway", () => {
  using node = new Node()
  const pod = node.pod()
  pod.ip("link", "set", "lo", "up")
  const network = dummy(node, {
    ipam: hostLocal(node, DUAL, { routes: [{ dst: "10.5.0.0/16" }, { dst: "fd55::/64" }] }),
  })
  const result = network.connect(pod)
  expect(pod.addresses("eth0")).toEqual(["10.244.1.2/24", "fd00:10:244:1::2/64"])
  expect([pod.pings("10.244.1.2"), pod.pings("fd00:10:244:1::2")]).toEqual([true, true])
  expect(routes(pod, "-4")).toEqual(["10.5.0.0/16 via 10.244.1.1"])
  expect(routes(pod, "-6")).toEqual(["fd55::/64 via fd00:10:244:1::1"])
  expect(network.check(pod, result)).toMatchObject(QUIET)
})

test("an interface of the pod's name on the node is not in the way", () => {
  using node = new Node()
  node.ip("link", "add", "eth0", "type", "dummy")
  const pod = node.pod()
  expect(dummy(node).connect(pod).interfaces?.[0]?.name).toBe("eth0")
  expect(node.link("eth0")?.linkinfo?.info_kind).toBe("dummy")
})

test("the result's dns is IPAM's, not the configuration's", () => {
  using node = new Node()
  const [own, ipams] = [{ nameservers: ["1.1.1.1"] }, { nameservers: ["8.8.8.8"] }]
  const ipam = { type: "static", addresses: [{ address: "10.1.2.3/24" }], dns: ipams }
  expect(dummy(node, { dns: own, ipam }).connect(node.pod()).dns).toEqual(ipams)
})

test("several dummies of a pod come and go each for itself", () => {
  using node = new Node()
  const pod = node.pod()
  const network = dummy(node)
  network.connect(pod)
  const second = network.connect(pod, { ifname: "net1" })
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(network.check(pod, second, { ifname: "net1" })).toMatchObject(QUIET)
})

test("STATUS succeeds before any ADD, and says what is missing", () => {
  using node = new Node()
  const status = (config: Config) => dummy(node, config).ask("STATUS", undefined)
  expect(status({})).toMatchObject(QUIET)
  expect(status({ ipam: undefined }).error?.code).toBe(50)
})
