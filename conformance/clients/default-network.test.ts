import { expect, test } from "vitest"
import { ask, Echo } from "../lab/echo.ts"
import { HERE, THERE } from "./engine.ts"
import { describeEveryEngine } from "./every-engine.ts"

describeEveryEngine((engine) => {
  test("a container has an address, a gateway, the way out by the machine's address, and reaches others", () => {
    const [one, two] = [engine().run("one"), engine().run("two")]
    const [gateway] = one.ip("route", "show", "default")
    const [address = ""] = one.addresses("eth0").map((prefix) => prefix.replace(/\/.*/, ""))
    expect(engine().do("inspect", "one", "--format", "{{.NetworkSettings.IPAddress}}")).toBe(address)
    expect(engine().leases()).toHaveLength(2)
    expect(engine().do("exec", "one", "nc", "-w", "5", "127.0.0.1", "80")).toMatch(/127\.0\.0\.1$/)
    expect(one.pings(`${gateway?.gateway}`)).toBe(true)
    expect(two.pings(address)).toBe(true)
    using _server = new Echo(engine().neighbour, "tcp", 7777)
    expect(ask(one, THERE.ipv4, 7777)).toBe(`server hears ${HERE.ipv4}`)
  })
})
