import { describe, expect, test } from "vitest"
import { ask, Echo } from "../../lab/echo.ts"
import { Node } from "../../lab/node.ts"
import { OUTSIDE } from "../bridge/outside.ts"
import { Portmap, tcp } from "../portmap/network.ts"
import { iptables } from "./network.ts"
import { NO, reaches, Site, YES } from "./site.ts"

describe("on a node whose FORWARD chains drop", () => {
  test("the pod reaches a host beyond, which does not reach it, in both families; no more after DEL", () => {
    using node = new Node()
    const site = Site.dropping(node)
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
    const site = Site.dropping(node)
    const { pod } = site.pod(1, {})
    iptables(node, `iptables -A CNI-ADMIN -d ${OUTSIDE[0]} -j DROP`)
    expect(pod.reaches(OUTSIDE)).toEqual([false, true])
  })
})

test("a host port is reached from other machines once the administrator's chain accepts what is led to pods", () => {
  using node = new Node()
  const site = Site.dropping(node)
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
    const site = Site.dropping(node)
    const [one, two, far] = [site.pod(1, {}), site.pod(1, {}), site.pod(2, {})]
    expect(reaches(one.pod, two)).toEqual(YES)
    expect(reaches(one.pod, far)).toEqual(YES)
  })

  test("same-bridge: pods reach those of their bridge, the host beyond, and not those of another bridge", () => {
    using node = new Node()
    const site = Site.dropping(node)
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
    const site = Site.dropping(node)
    const config = { ingressPolicy: "isolated" }
    const [one, two, far] = [site.pod(1, config), site.pod(1, config), site.pod(2, config)]
    expect(one.stderr).toBe("")
    expect(reaches(one.pod, two)).toEqual(NO)
    expect(reaches(one.pod, far)).toEqual(NO)
    expect(one.pod.reaches(OUTSIDE)).toEqual(YES)
  })

  test("isolated, if netfilter does not see bridged packets: ADD says that it keeps nobody apart", () => {
    using node = new Node()
    const site = Site.dropping(node)
    for (const family of ["ip", "ip6"]) node.sysctl(`net/bridge/bridge-nf-call-${family}tables`, "0")
    const config = { ingressPolicy: "isolated" }
    const [one, two] = [site.pod(1, config), site.pod(1, config)]
    expect(one.stderr).toContain("net.bridge.bridge-nf-call-iptables is not 1")
    expect(reaches(one.pod, two)).toEqual(YES)
  })
})
