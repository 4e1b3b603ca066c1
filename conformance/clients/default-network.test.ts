import { expect, test } from "vitest"
import { ask, Echo } from "../lab/echo.ts"
import { nft } from "../lab/ruleset.ts"
import { addressOf } from "./engine.ts"
import { describeEveryEngine, settle } from "./every-engine.ts"
import { HERE, IMAGE, THERE } from "./place.ts"
import { Podman } from "./podman.ts"

describeEveryEngine((engine) => {
  test("a container has an address, a gateway and the way out by the machine's address, and reaches others", () => {
    const [one, two] = [engine().run("one"), engine().run("two")]
    const [route] = one.ip("route", "show", "default")
    expect(engine().do("inspect", "one", "--format", "{{.NetworkSettings.IPAddress}}")).toBe(addressOf(one))
    expect(engine().leases()).toHaveLength(2)
    expect(engine().do("exec", "one", "nc", "-w", "5", addressOf(two), "80")).toMatch(addressOf(one))
    expect(one.pings(`${route?.gateway}`)).toBe(true)
    expect(two.pings(addressOf(one))).toBe(true)
    using _server = new Echo(engine().neighbour, "tcp", 7777)
    expect(ask(one, THERE.ipv4, 7777)).toBe(`server hears ${HERE.ipv4}`)
  })

  test("published ports: TCP, UDP, a range", () => {
    engine().run("one", "-p", "18080:80", "-p", "18081:81/udp", "-p", "18082-18084:82-84")
    for (const port of [18080, 18082, 18083, 18084]) expect(engine().askFromOutside(port)).toBe(THERE.ipv4)
    expect(engine().askFromOutside(18081, "udp")).toBe(THERE.ipv4)
    expect(engine().askFromOutside(18081)).toBeUndefined()
  })

  test("a published port is reached from the machine, from another container and from the container itself", () => {
    const [one, two] = [engine().run("one", "-p", "18080:80"), engine().run("two")]
    for (const from of [engine().node, one, two]) expect(ask(from, HERE.ipv4, 18080)).toBeDefined()
    expect(ask(engine().node, "127.0.0.1", 18080)).toBeDefined()
  })

  test("a port published on 127.0.0.1 is the machine's alone, on its address everybody's", () => {
    engine().run("one", "-p", "127.0.0.1:18080:80", "-p", `${HERE.ipv4}:18081:81`)
    expect(ask(engine().node, "127.0.0.1", 18080)).toBeDefined()
    expect(engine().askFromOutside(18080)).toBeUndefined()
    expect(engine().askFromOutside(18081)).toBe(THERE.ipv4)
    expect(ask(engine().node, "127.0.0.1", 18081)).toBeUndefined()
  })

  test("--mac-address", () => {
    const one = engine().run("one", "--mac-address", "92:d0:c6:0a:29:33")
    expect(one.link("eth0")?.address).toBe("92:d0:c6:0a:29:33")
  })

  test("--ip, also after a restart", () => {
    const address = engine() instanceof Podman ? "10.88.7.7" : "10.4.0.77"
    const one = engine().run("one", "--ip", address, "-p", "18080:80")
    expect(addressOf(one)).toBe(address)
    engine().do("restart", "-t", "1", "one")
    expect(addressOf(engine().answering("one"))).toBe(address)
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })

  test("stopped, it has no lease and no port; started, both again", () => {
    engine().run("one", "-p", "18080:80")
    engine().do("stop", "-t", "1", "one")
    expect(engine().leases()).toEqual([])
    expect(engine().askFromOutside(18080)).toBeUndefined()
    engine().do("start", "one")
    engine().answering("one")
    expect(engine().leases()).toHaveLength(1)
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })

  test("`nft flush ruleset` is mended by a reload, or a restart", () => {
    const one = engine().run("one", "-p", "18080:80")
    const address = addressOf(one)
    nft(engine().node, "flush ruleset")
    expect(ask(engine().neighbour, HERE.ipv4, 18080, { timeoutSeconds: 1 })).toBeUndefined()
    if (engine() instanceof Podman) {
      engine().do("network", "reload", "--all")
      expect(addressOf(one)).toBe(address)
    } else engine().do("restart", "-t", "1", "one")
    engine().answering("one")
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
    using _server = new Echo(engine().neighbour, "tcp", 7777)
    expect(ask(engine().view("one"), THERE.ipv4, 7777)).toBe(`server hears ${HERE.ipv4}`)
    engine().removeAll()
    nft(engine().node, "flush ruleset")
    settle(engine())
  })

  test("networks without plugins: none, host, another container's", () => {
    engine().run("one")
    expect(engine().do("run", "--rm", ...engine().always, "--network", "none", IMAGE, "ip", "link")).not.toContain(
      "eth0",
    )
    expect(engine().do("run", "--rm", ...engine().always, "--network", "host", IMAGE, "ip", "link")).toContain("uplink")
    const shared = engine().do(
      "run",
      "--rm",
      ...engine().always,
      "--network",
      "container:one",
      IMAGE,
      "nc",
      "-w",
      "5",
      "127.0.0.1",
      "80",
    )
    expect(shared).toContain("127.0.0.1")
    expect(engine().leases()).toHaveLength(1)
  })

  test("eight at once, each with a port, and away at once", async () => {
    const numbers = [0, 1, 2, 3, 4, 5, 6, 7]
    const runs = await Promise.all(
      numbers.map((i) => engine().tryAsync(...engine().runCommand(`one${i}`, "-p", `1808${i}:80`))),
    )
    expect(runs.map((done) => done.exitCode)).toEqual(numbers.map(() => 0))
    expect(new Set(engine().leases()).size).toBe(8)
    for (const i of numbers) engine().answering(`one${i}`)
    for (const i of numbers) expect(engine().askFromOutside(18080 + i)).toBe(THERE.ipv4)
    const removals = await Promise.all(numbers.map((i) => engine().tryAsync("rm", "-f", `one${i}`)))
    expect(removals.map((done) => done.exitCode)).toEqual(numbers.map(() => 0))
  })

  test("killed by SIGKILL, it is removed like any other", () => {
    engine().run("one", "-p", "18080:80")
    engine().machine.run(["kill", "-9", engine().pid("one")])
    engine().remove("one")
    expect(engine().leases()).toEqual([])
  })
})
