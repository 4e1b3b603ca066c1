import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { ask, Echo } from "../../lab/echo.ts"
import type { View } from "../../lab/namespace.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { Network } from "../bridge/network.ts"
import { OUTSIDE, outside } from "../bridge/outside.ts"
import { Portmap, tcp } from "../portmap/network.ts"
import { Firewall, iptables } from "./network.ts"

/** A node whose FORWARD chains drop, as Docker's, with pods on bridges of their own and a host beyond that knows the way back. */
class Site {
  readonly node: Node
  readonly host: Pod

  constructor(node: Node) {
    this.node = node
    this.host = outside(node)
    this.host.ip("route", "add", "10.0.0.0/8", "via", "198.51.100.1")
    this.host.ip("-6", "route", "add", "fd00:10::/32", "via", "fd00:beef::1")
    iptables(node, "iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP")
    for (const family of ["ip", "ip6"]) node.sysctl(`net/bridge/bridge-nf-call-${family}tables`, "1")
  }

  /** Adds a pod to the bridge of that number, and if `config` is given calls `firewall` for it. */
  pod(bridge: number, config?: object) {
    const { node } = this
    const pod = node.pod()
    const name = `net${bridge}`
    const ranges = [`10.${bridge}.0.0/24`, `fd00:10:${bridge}::/64`].map((subnet) => [{ subnet }])
    const ipam = { type: "host-local", dataDir: join(node.dir, "ipam"), ranges }
    const network = new Network(node, { name, bridge: `cni${bridge}`, isDefaultGateway: true, ipam })
    const prevResult = network.connect(pod)
    const firewall = new Firewall(node, { name, ...config, prevResult })
    const answer = config && firewall.ask("ADD", pod)
    if (answer && answer.exitCode !== 0) throw new Error(answer.stdout)
    const addresses = (prevResult.ips ?? []).map(({ address }) => address.split("/")[0] ?? "")
    return { pod, firewall, addresses, stderr: answer?.stderr }
  }
}

type Reached = ReturnType<Site["pod"]>

const reaches = (from: View, { addresses }: Reached) => from.reaches(addresses)
const [YES, NO] = [
  [true, true],
  [false, false],
]

describe("on a node whose FORWARD chains drop", () => {
  test("the pod reaches a host beyond, which does not reach it, in both families; no more after DEL", () => {
    using node = new Node()
    const site = new Site(node)
    const without = site.pod(1)
    const within = site.pod(1, {})
    expect(without.pod.reaches(OUTSIDE)).toEqual(NO)
    expect(within.pod.reaches(OUTSIDE)).toEqual(YES)
    expect(reaches(site.host, within)).toEqual(NO)
    expect(within.firewall.forget(within.pod)).toMatchObject({ exitCode: 0, stderr: "" })
    expect(within.pod.reaches(OUTSIDE)).toEqual(NO)
  })

  test("a rule in the administrator's chain comes first", () => {
    using node = new Node()
    const site = new Site(node)
    const { pod } = site.pod(1, {})
    iptables(node, `iptables -A CNI-ADMIN -d ${OUTSIDE[0]} -j DROP`)
    expect(pod.reaches(OUTSIDE)).toEqual([false, true])
  })
})

test("a host port is reached from other machines once the administrator's chain accepts what is led to pods", () => {
  using node = new Node()
  const site = new Site(node)
  const { pod, addresses } = site.pod(1, {})
  new Portmap(node).map(pod, [tcp(8080)], [`${addresses[0]}/24`])
  using _server = new Echo(pod, "tcp", 80)
  const asked = () => ask(site.host, "198.51.100.1", 8080, { timeoutSeconds: 2 })
  expect(asked()).toBeUndefined()
  iptables(node, "iptables -A CNI-ADMIN -m conntrack --ctstate DNAT -j ACCEPT")
  expect(asked()).toContain("hears 198.51.100.2")
})

describe("ingressPolicy", () => {
  test("open: pods reach each other, on their bridge and across", () => {
    using node = new Node()
    const site = new Site(node)
    const [one, two, far] = [site.pod(1, {}), site.pod(1, {}), site.pod(2, {})]
    expect(reaches(one.pod, two)).toEqual(YES)
    expect(reaches(one.pod, far)).toEqual(YES)
  })

  test("same-bridge: pods reach those of their bridge, the host beyond, and not those of another bridge", () => {
    using node = new Node()
    const site = new Site(node)
    const config = { ingressPolicy: "same-bridge" }
    const [one, two, far] = [site.pod(1, config), site.pod(1, config), site.pod(2, config)]
    expect(reaches(one.pod, two)).toEqual(YES)
    expect(reaches(one.pod, far)).toEqual(NO)
    expect(reaches(far.pod, one)).toEqual(NO)
    expect(one.pod.reaches(OUTSIDE)).toEqual(YES)
    expect(reaches(node, one)).toEqual(YES)
  })

  test("isolated: pods reach the host beyond and no other pod", () => {
    using node = new Node()
    const site = new Site(node)
    const config = { ingressPolicy: "isolated" }
    const [one, two, far] = [site.pod(1, config), site.pod(1, config), site.pod(2, config)]
    expect(one.stderr).toBe("")
    expect(reaches(one.pod, two)).toEqual(NO)
    expect(reaches(one.pod, far)).toEqual(NO)
    expect(one.pod.reaches(OUTSIDE)).toEqual(YES)
  })

  test("isolated, if netfilter does not see bridged packets: ADD says that it keeps nobody apart", () => {
    using node = new Node()
    const site = new Site(node)
    for (const family of ["ip", "ip6"]) node.sysctl(`net/bridge/bridge-nf-call-${family}tables`, "0")
    const config = { ingressPolicy: "isolated" }
    const [one, two] = [site.pod(1, config), site.pod(1, config)]
    expect(one.stderr).toContain("net.bridge.bridge-nf-call-iptables is not 1")
    expect(reaches(one.pod, two)).toEqual(YES)
  })
})
