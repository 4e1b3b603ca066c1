import { expect, test } from "vitest"
import { ask, Echo } from "../lab/echo.ts"
import { addressOf, type Engine } from "./engine.ts"
import { describeEngine } from "./every-engine.ts"
import { HERE, IMAGE, THERE } from "./place.ts"

/** Returns the number, on the machine, of the program that waits for the container's end. */
function monitorOf(engine: Engine, name: string): string {
  return engine.do("inspect", name, "--format", "{{.State.ConmonPid}}")
}

describeEngine("podman", (engine) => {
  test("a running container with a port is connected to a network, and disconnected", () => {
    for (const name of ["left", "right"]) engine().createNetwork(name)
    const one = engine().run("one", "--network", "left", "-p", "18080:80")
    const two = engine().run("two", "--network", "right")
    engine().do("network", "connect", "right", "one")
    expect(one.pings(addressOf(two))).toBe(true)
    engine().do("network", "disconnect", "right", "one")
    expect(one.link("eth1")).toBeUndefined()
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })

  test("disconnected from the network that its port came by, and connected again", () => {
    engine().createNetwork("left")
    engine().run("one", "--network", "left", "-p", "18080:80")
    engine().do("network", "disconnect", "left", "one")
    expect(engine().leases()).toEqual([])
    engine().do("network", "connect", "left", "one")
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })

  test("an address and a MAC address in each of two networks", () => {
    engine().createNetwork("left", "--subnet", "10.90.0.0/24")
    engine().createNetwork("right", "--subnet", "10.92.0.0/24")
    const left = "left:ip=10.90.0.77,mac=92:d0:c6:0a:29:33"
    const one = engine().run("one", "--network", left, "--network", "right:ip=10.92.0.78,mac=92:d0:c6:0a:29:34")
    // Of several networks podman 4.3 makes any the first.
    const made = ["eth0", "eth1"].map((link) => `${addressOf(one, link)} ${one.link(link)?.address}`)
    expect(made.sort()).toEqual(["10.90.0.77 92:d0:c6:0a:29:33", "10.92.0.78 92:d0:c6:0a:29:34"])
  })

  test("an internal network has no way out", () => {
    engine().createNetwork("inside", "--internal")
    const [one, two] = [engine().run("one", "--network", "inside"), engine().run("two", "--network", "inside")]
    expect(one.pings(addressOf(two))).toBe(true)
    expect(one.ip("route", "show", "default")).toEqual([])
    expect(one.pings(THERE.ipv4)).toBe(false)
  })

  test("reload keeps addresses and ports of every network", () => {
    engine().createNetwork("left")
    const one = engine().run("one", "--network", "left", "--network", "podman", "-p", "18080:80")
    const addresses = ["eth0", "eth1"].map((link) => addressOf(one, link))
    engine().do("network", "reload", "one")
    expect(["eth0", "eth1"].map((link) => addressOf(one, link))).toEqual(addresses)
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })

  test("a pod's containers share its address and port", () => {
    const infra = ["--infra-image", IMAGE, "--infra-command", "/bin/answer"]
    engine().do("pod", "create", "--name", "pod", "-p", "18080:80", ...infra)
    engine().run("one", "--pod", "pod")
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
    using _server = new Echo(engine().neighbour, "tcp", 7777)
    expect(ask(engine().view("one"), THERE.ipv4, 7777)).toBe(`server hears ${HERE.ipv4}`)
    engine().do("pod", "rm", "-f", "pod")
  })

  test("killed by SIGKILL together with its monitor, which would have called DEL, it is removed like any other", () => {
    engine().run("one", "-p", "18080:80")
    engine().machine.run(["kill", "-9", monitorOf(engine(), "one"), engine().pid("one")])
    expect(engine().leases()).toHaveLength(1)
    engine().remove("one")
    expect(engine().leases()).toEqual([])
  })

  test("a port that is taken is refused, and nothing is left of the attempt", () => {
    engine().run("one", "-p", "18080:80")
    const refused = engine().try(...engine().runCommand("two", "-p", "18080:80"))
    expect(refused.stderr).toContain("host port 18080/tcp is taken by container ")
    expect(engine().leases()).toHaveLength(1)
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
  })
})
