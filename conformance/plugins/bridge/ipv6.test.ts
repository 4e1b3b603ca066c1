import { expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { DUAL, hostLocal, leases, Network, port, V6 } from "./network.ts"
import { outside } from "./outside.ts"

test("IPv6 works at once: no address is tentative when ADD returns, and the first ping is answered", () => {
  using node = new Node()
  const network = new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, [V6]) })
  const [one, two] = [node.pod(), node.pod()]
  network.connect(one)
  const inPod = one.ip("-6", "addr", "show", "dev", "eth0")[0]?.addr_info ?? []
  expect(one.pings("fd00:10:244:1::1")).toBe(true)
  network.connect(two)
  expect(two.pings("fd00:10:244:1::2")).toBe(true)
  expect(inPod.map(({ local, tentative }) => [local, tentative])).toEqual([
    ["fd00:10:244:1::2", undefined],
    [expect.stringMatching(/^fe80:/), undefined],
  ])
  const [gateway] = node.ip("-6", "addr", "show", "dev", "cni0", "scope", "global")[0]?.addr_info ?? []
  expect(gateway).toMatchObject({ local: "fd00:10:244:1::1", nodad: true })
  expect(gateway?.tentative).toBeUndefined()
})

test("the first pod of a bridge is reached from beyond the node at once; behind the reference's it is not for a second or two", () => {
  using node = new Node()
  const host = outside(node)
  host.ip("-6", "route", "add", "default", "via", "fd00:beef::1")
  const pod = node.pod()
  new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, [V6]) }).connect(pod)
  const ping = ["ping", "-n", "-q", "-c", "1", "-W", "0.5", "fd00:10:244:1::2"]
  expect(host.run(...ping).exitCode).toBe(0)
})

test("the pod's settings for IPv4 and IPv6", () => {
  using node = new Node()
  const pod = node.pod()
  new Network(node, { isGateway: true, ipam: hostLocal(node, DUAL) }).connect(pod)
  const setting = (name: string) => pod.sysctl(`net/${name}`)
  expect(setting("ipv4/conf/eth0/arp_notify")).toBe("1")
  expect(setting("ipv6/conf/eth0/ndisc_notify")).toBe("1")
  expect(setting("ipv6/conf/eth0/keep_addr_on_down")).toBe("1")
  expect(setting("ipv6/conf/eth0/accept_dad")).toBe("0")
  expect([setting("ipv6/conf/eth0/disable_ipv6"), setting("ipv6/conf/lo/disable_ipv6")]).toEqual(["0", "0"])
})

test("a pod without IPv6 addresses keeps the kernel's IPv6 settings", () => {
  using node = new Node()
  const pod = node.pod()
  for (const name of ["default", "lo"]) pod.sysctl(`net/ipv6/conf/${name}/disable_ipv6`, "1")
  new Network(node, { isGateway: true, ipam: hostLocal(node) }).connect(pod)
  expect(pod.sysctl("net/ipv6/conf/eth0/disable_ipv6")).toBe("1")
  expect(pod.sysctl("net/ipv6/conf/lo/disable_ipv6")).toBe("1")
  expect(pod.sysctl("net/ipv6/conf/eth0/keep_addr_on_down")).toBe("0")
  expect(pod.sysctl("net/ipv4/conf/eth0/arp_notify")).toBe("1")
  expect(pod.pings("10.244.1.1")).toBe(true)
})

test("the sysctls of a pod without IPv6 addresses are not looked at: in each namespace they make those of all others slower", () => {
  using node = new Node()
  const pod = node.pod()
  const { config } = new Network(node, { isGateway: true, ipam: hostLocal(node) })
  const { calls } = node.trace("bridge", { command: "ADD", netns: pod, config })
  const looks = calls.filter(({ args }) => args.includes("/proc/sys/net/"))
  expect(looks).not.toEqual([])
  expect(looks.filter(({ args }) => /\/(eth0|lo)\//.test(args))).toEqual([])
})

test("IPv6 is switched on in a pod that had it off", () => {
  using node = new Node()
  const pod = node.pod()
  for (const name of ["all", "default", "lo"]) pod.sysctl(`net/ipv6/conf/${name}/disable_ipv6`, "1")
  new Network(node, { isGateway: true, ipam: hostLocal(node, [V6]) }).connect(pod)
  expect(pod.sysctl("net/ipv6/conf/lo/disable_ipv6")).toBe("0")
  expect(pod.pings("fd00:10:244:1::1")).toBe(true)
})

test("IPv6 addresses survive the link's going down", () => {
  using node = new Node()
  const pod = node.pod()
  new Network(node, { isGateway: true, ipam: hostLocal(node, [V6]) }).connect(pod)
  for (const state of ["down", "up"]) output(pod.inside(["ip", "link", "set", "eth0", state]))
  expect(pod.addresses("eth0")).toEqual(["fd00:10:244:1::2/64"])
})

test("enabledad asks the neighbours, and ADD waits for the answer", () => {
  using node = new Node()
  const pod = node.pod()
  const network = new Network(node, { isGateway: true, enabledad: true, ipam: hostLocal(node, [V6]) })
  network.connect(pod)
  const addresses = pod.ip("-6", "addr", "show", "dev", "eth0")[0]?.addr_info ?? []
  expect(addresses.map(({ tentative, nodad }) => [tentative, nodad])).toEqual([
    [undefined, undefined],
    [undefined, undefined],
  ])
  expect(pod.sysctl("net/ipv6/conf/eth0/accept_dad")).toBe("1")
  expect(pod.sysctl("net/ipv6/conf/eth0/enhanced_dad")).toBe("1")
  expect(pod.pings("fd00:10:244:1::1")).toBe(true)
})

test("enabledad finds a duplicate: ADD fails, and nothing is left behind", () => {
  using node = new Node()
  const network = new Network(node, { isGateway: true, enabledad: true, ipam: hostLocal(node, [V6]) })
  const [thief, pod] = [node.pod(), node.pod()]
  network.connect(thief)
  output(thief.inside(["ip", "addr", "add", "fd00:10:244:1::3/64", "dev", "eth0", "nodad"]))
  const msg = "IPv6 duplicate address detection failed on eth0"
  expect(network.add(pod)).toMatchObject({ exitCode: 1, error: { code: 102, msg } })
  expect(pod.link("eth0")).toBeUndefined()
  expect(port(node).ifname).toBeDefined()
  expect(leases(node)).toEqual(["fd00:10:244:1::2"])
})
