import { readFileSync, writeFileSync } from "node:fs"
import { expect, test } from "vitest"
import { ask, Echo } from "../lab/echo.ts"
import { addressOf, type Engine } from "./engine.ts"
import { describeEveryEngine } from "./every-engine.ts"
import { Nerdctl } from "./nerdctl.ts"
import { ELSEWHERE, HERE, THERE } from "./place.ts"
import { Podman } from "./podman.ts"

/** nerdctl writes no default route of IPv6 into its networks. */
function addRoute({ machine }: Engine, network: string, dst: string): void {
  const file = machine.path(`/etc/cni/net.d/default/nerdctl-${network}.conflist`)
  const list = JSON.parse(readFileSync(file, "utf8"))
  list.plugins[0].ipam.routes.push({ dst })
  writeFileSync(file, JSON.stringify(list))
}

describeEveryEngine((engine) => {
  test("a network of one's own, with a range", () => {
    engine().createNetwork(
      "own",
      "--subnet",
      "10.90.0.0/24",
      "--gateway",
      "10.90.0.254",
      "--ip-range",
      "10.90.0.128/25",
    )
    const one = engine().run("one", "--network", "own", "-p", "18080:80")
    expect(addressOf(one)).toMatch(/^10\.90\.0\.(12[89]|1[3-9]\d|2\d\d)$/)
    expect(one.pings("10.90.0.254")).toBe(true)
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })

  test("two networks and one port", () => {
    for (const [name, subnet] of [["left", "10.90.0.0/24"] as const, ["right", "10.92.0.0/24"] as const])
      engine().createNetwork(name, "--subnet", subnet)
    const both = engine().run("both", "--network", "left", "--network", "right", "-p", "18080:80")
    for (const gateway of ["10.90.0.1", "10.92.0.1"]) expect(both.pings(gateway)).toBe(true)
    expect(engine().leases()).toHaveLength(2)
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
    const addresses = ["eth0", "eth1"].map((link) => addressOf(both, link)).sort()
    const others = ["left", "right"].map((name) => engine().run(`of-${name}`, "--network", name))
    for (const [i, other] of others.entries()) expect(ask(other, `${addresses[i]}`, 80)).toBeDefined()
  })

  test("both families: addresses, the way out, ports by TCP and UDP", () => {
    engine().createNetwork("dual", "--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd00:91::/64")
    if (engine() instanceof Nerdctl) addRoute(engine(), "dual", "::/0")
    const ports = ["18080:80", "18081:81/udp"].flatMap((port) => ["-p", `0.0.0.0:${port}`, "-p", `[::]:${port}`])
    const one = engine().run("one", "--network", "dual", ...ports, "-p", `[${HERE.ipv6}]:18082:82`)
    expect(one.addresses("eth0")).toEqual([expect.stringMatching(/^10\.91\.0\./), expect.stringMatching(/^fd00:91::/)])
    expect(one.pings("fd00:91::1")).toBe(true)
    using _server = new Echo(engine().neighbour, "tcp", 7777)
    expect(ask(one, THERE.ipv6, 7777)).toBe(`server hears ${HERE.ipv6}`)
    for (const family of ["ipv4", "ipv6"] as const) {
      expect(engine().askFromOutside(18080, "tcp", HERE[family])).toBe(THERE[family])
      expect(engine().askFromOutside(18081, "udp", HERE[family])).toBe(THERE[family])
    }
    expect(engine().askFromOutside(18082, "tcp", HERE.ipv6)).toBe(THERE.ipv6)
    expect(engine().askFromOutside(18082)).toBeUndefined()
  })

  test("--ip6", () => {
    engine().createNetwork("dual", "--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd00:91::/64")
    const one = engine().run("one", "--network", "dual", "--ip6", "fd00:91::77")
    expect(one.addresses("eth0")).toContain("fd00:91::77/64")
  })

  test("networks that are to be apart are", () => {
    const options = engine() instanceof Podman ? ["--opt", "isolate=true"] : []
    for (const name of ["left", "right"]) engine().createNetwork(name, ...options)
    const [one, two] = [engine().run("one", "--network", "left"), engine().run("two", "--network", "left")]
    const other = engine().run("other", "--network", "right", "-p", "18080:80")
    expect(one.pings(addressOf(two))).toBe(true)
    expect(one.pings(addressOf(other))).toBe(false)
    expect(ask(one, addressOf(other), 80, { timeoutSeconds: 1 })).toBeUndefined()
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })

  test("macvlan", () => {
    const { link, subnet, neighbour } = ELSEWHERE
    const addresses = ["--subnet", subnet, "--gateway", neighbour, "--ip-range", "203.0.113.64/26"]
    engine().createNetwork("wide", "-d", "macvlan", "--opt", `parent=${link}`, ...addresses)
    const one = engine().run("one", "--network", "wide")
    expect(one.link("eth0")?.linkinfo?.info_kind).toBe("macvlan")
    expect(one.pings(neighbour)).toBe(true)
    expect(ask(engine().neighbour, addressOf(one), 80)?.trim()).toBe(neighbour)
  })

  test("--opt mtu", () => {
    const key = engine() instanceof Podman ? "mtu" : "com.docker.network.driver.mtu"
    engine().createNetwork("small", "--opt", `${key}=1400`)
    expect(engine().run("one", "--network", "small").link("eth0")?.mtu).toBe(1400)
  })
})
