import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { BEYOND, podOfTwo, routesIn, rules, Sbr, told, V4, V6, wayOf } from "./network.ts"

/** Returns what `look` sees of a pod that is prepared the same for each implementation: ours, then the Go plugin. */
function each<Seen>(look: (sbr: Sbr, pod: Pod) => Seen): readonly Seen[] {
  return (["ours", "reference"] as const).map((implementation: Implementation) => {
    using node = new Node()
    const pod = podOfTwo(node)
    return look(new Sbr(node, pod, { prevResult: told(pod, [V4]) }, implementation), pod)
  })
}

describe("faults of the reference:", () => {
  test("a repeated ADD fails, and leaves a second rule", () => {
    const seen = each((sbr, pod) => [...[1, 2].map(() => sbr.call("ADD").exitCode), ...rules(pod)])
    expect(seen).toEqual([
      [0, 0, "192.168.1.209 to 100"],
      [0, 1, "192.168.1.209 to 101", "192.168.1.209 to 100"],
    ])
  })

  test("a repeated ADD with a table of others makes every rule twice", () => {
    const table = 5000
    const seen = each((sbr, pod) => [...[1, 2].map(() => sbr.call("ADD", { table }).exitCode), ...rules(pod)])
    expect(seen).toEqual([
      [0, 0, "192.168.1.209 to 5000"],
      [0, 0, "192.168.1.209 to 5000", "192.168.1.209 to 5000"],
    ])
  })

  test("an ADD that fails leaves its rule", () => {
    const gateway = "192.168.9.1" // in no network of the interface
    const seen = each((sbr, pod) => {
      const before = JSON.stringify(snapshot(sbr.node))
      const { exitCode } = sbr.call("ADD", { prevResult: told(pod, [{ ...V4, gateway }]) })
      return [exitCode, JSON.stringify(snapshot(sbr.node)) === before]
    })
    expect(seen).toEqual([
      [1, true],
      [1, false],
    ])
  })

  test("an interface without addresses in the result loses all its routes, eth0 the pod's default route", () => {
    const seen = each((sbr, pod) => {
      const { exitCode } = sbr.add(pod, { ifname: "eth0", config: { prevResult: told(pod, [V4]) } })
      return [exitCode, routesIn(pod, "main", ["-4"]).length]
    })
    expect(seen).toEqual([
      [1, 3],
      [0, 1],
    ])
  })

  test("routes by a gateway outside of the interface's networks are lost", () => {
    const seen = each((sbr, pod) => {
      pod.ip("route", "add", "10.5.0.0/16", "via", "169.254.1.1", "dev", "net1", "onlink")
      pod.ip("-6", "route", "add", "fd05::/64", "via", "fe80::1", "dev", "net1")
      expect(sbr.call("ADD", { prevResult: told(pod) }).exitCode).toBe(0)
      const all = ["main", "100", "101"].flatMap((table) => routesIn(pod, table))
      return all.filter((route) => /^(10\.5\.|fd05:)/.test(route))
    })
    expect(seen).toEqual([
      ["10.5.0.0/16 via 169.254.1.1 dev net1 onlink", "fd05::/64 via fe80::1 dev net1 metric 1024"],
      [],
    ])
  })

  test("preference and onlink of moved routes are lost, and routes over several next hops stay in the main table", () => {
    const seen = each((sbr, pod) => {
      pod.ip("route", "add", "10.5.0.0/16", "via", "192.168.1.7", "dev", "net1", "onlink")
      pod.ip("route", "add", "10.6.0.0/16", "nexthop", "via", "192.168.1.7", "nexthop", "via", "192.168.1.8")
      pod.ip("-6", "route", "add", "fd05::/64", "via", "fd01::7", "pref", "high")
      expect(sbr.call("ADD", { prevResult: told(pod) }).exitCode).toBe(0)
      const routes = ["-4", "-6"].flatMap((family) => pod.ip(family, "route", "show", "table", "all"))
      const [onlink, several, preferred] = ["10.5.0.0/16", "10.6.0.0/16", "fd05::/64"].map((dst) =>
        routes.find((route) => route.dst === dst),
      )
      return [onlink?.flags, several?.["table"], preferred?.["pref"]]
    })
    expect(seen).toEqual([
      [["onlink"], "100", "high"],
      [[], undefined, "medium"],
    ])
  })

  test("link-local addresses of the interface's link are not reached any more", () => {
    const seen = each((sbr, pod) => {
      const links = sbr.node.ip("-6", "addr", "show", "dev", "host1")
      const far = links.flatMap(({ addr_info = [] }) => addr_info).find(({ scope }) => scope === "link")?.local
      const pings = () => pod.run("ping", "-n", "-c1", "-W2", "-I", "net1", String(far)).exitCode === 0
      const before = pings()
      expect(sbr.call("ADD").exitCode).toBe(0)
      return [before, pings()]
    })
    expect(seen).toEqual([
      [true, true],
      [true, false],
    ])
  })

  test("a table in which others have routes, without a rule to it, is taken", () => {
    const seen = each((sbr, pod) => {
      pod.ip("route", "add", "10.77.0.0/16", "via", "10.0.0.1", "table", "100")
      expect(sbr.call("ADD").exitCode).toBe(0)
      return [...rules(pod), wayOf(pod, "192.168.1.209", "10.77.0.1")]
    })
    expect(seen).toEqual([
      ["192.168.1.209 to 101", "net1 via 192.168.1.1"],
      ["192.168.1.209 to 100", "eth0 via 10.0.0.1"],
    ])
  })

  test("routes of one family are copied to tables of the other", () => {
    const seen = each((sbr, pod) => {
      expect(sbr.call("ADD", { prevResult: told(pod, [V4, V6]) }).exitCode).toBe(0)
      return routesIn(pod, "100", ["-6"])
    })
    expect(seen).toEqual([[], ["fd01::/64 dev net1 metric 256 proto kernel"]])
  })

  /** plugins#623 */
  test("an IPv6 network is in the tables of all addresses", () => {
    const seen = each((sbr, pod) => {
      pod.ip("addr", "add", "fd02::209/64", "dev", "net1", "nodad")
      const second = { address: "fd02::209/64", gateway: "fd02::1" }
      expect(sbr.call("ADD", { prevResult: told(pod, [V6, second]) }).exitCode).toBe(0)
      return routesIn(pod, "100", ["-6"])
    })
    const own = ["default via fd01::1 dev net1 metric 1024", "fd01::/64 dev net1 metric 256 proto kernel"]
    expect(seen).toEqual([own, [...own, "fd02::/64 dev net1 metric 256 proto kernel"]])
  })

  test.each([0, -1, 4294967296])(
    "table %i leads to the first table that is empty, and out of range DEL does not find it",
    (table) => {
      const seen = each((sbr, pod) => {
        const { exitCode } = sbr.call("ADD", { table })
        const made = rules(pod)
        sbr.call("DEL", { table })
        return [exitCode, made, rules(pod)]
      })
      expect(seen).toEqual([
        [1, [], []],
        [0, ["192.168.1.209 to 1"], table === 0 ? [] : ["192.168.1.209 to 1"]],
      ])
    },
  )

  /** plugins#893: the plugin before could not add it, as eth0 has one. */
  test("a default route of the result that the pod lacks is in no table", () => {
    const seen = each((sbr, pod) => {
      const routes = [{ dst: "0.0.0.0/0", gw: "192.168.1.254" }]
      const prevResult = told(pod, [{ address: V4.address }], { routes })
      expect(sbr.call("ADD", { prevResult }).exitCode).toBe(0)
      return [wayOf(pod, "192.168.1.209", BEYOND), sbr.of("ours").call("CHECK", { prevResult }).exitCode]
    })
    expect(seen).toEqual([
      ["net1 via 192.168.1.254", 0],
      ["eth0 via 10.0.0.1", 1],
    ])
  })
})
