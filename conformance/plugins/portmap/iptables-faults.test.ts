import { describe, expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { ruleset } from "../../lab/ruleset.ts"
import { saved } from "../../xtables/rules.ts"
import { hostportsOf, iptables, Portmap, QUIET, resultOf, tcp, udp } from "./network.ts"

const V4 = ["10.1.0.2/24"]
const BOTH = [...V4, "fd00::2/64"]
const IPTABLES = { backend: "iptables" }

const dnats = (node: Node) =>
  hostportsOf(node).flatMap(
    (line) => / (\S+) -j DNAT --to-destination (\S+)/.exec(line)?.slice(1, 3).join(" -> ") ?? [],
  )

/** Each fault on the Go plugin first, so that a test says so if it is mended there. */
describe("faults of the Go plugin's iptables backend that this one has not", () => {
  function each(steps: (portmap: Portmap, pod: Pod) => unknown): unknown[] {
    return (["reference", "ours"] as const).map((implementation) => {
      using node = new Node()
      return steps(new Portmap(node, IPTABLES, implementation), node.pod())
    })
  }

  test("DEL of one interface takes the rules of the container's other one in the network", () => {
    const left = each((portmap, pod) => {
      portmap.map(pod, [tcp(80)], V4)
      portmap.map(pod, [tcp(81)], ["10.1.0.3/24"], { ifname: "net1" })
      expect(portmap.del(pod, { ports: [tcp(80)] })).toMatchObject(QUIET)
      return dnats(portmap.node)
    })
    expect(left).toEqual([[], ["81 -> 10.1.0.3:80"]])
  })

  test("two networks and containers whose names are the same when put together share a chain: DEL of one cuts off the other", () => {
    const left = each((portmap, pod) => {
      const other = portmap.as(portmap.implementation, { name: "net1" })
      portmap.map(pod, [tcp(80)], V4, { containerId: "1abc" })
      other.map(pod, [tcp(81)], ["10.1.0.3/24"], { containerId: "abc" })
      expect(portmap.del(pod, { ports: [tcp(80)], containerId: "1abc" })).toMatchObject(QUIET)
      return dnats(portmap.node)
    })
    expect(left).toEqual([[], ["81 -> 10.1.0.3:80"]])
  })

  test("a repeated ADD leaves the ports of the one before", () => {
    const led = each((portmap, pod) => {
      portmap.map(pod, [tcp(80), udp(53)], BOTH)
      portmap.map(pod, [tcp(90)], V4)
      return dnats(portmap.node).length
    })
    expect(led).toEqual([5, 1])
  })

  test("DEL without the ports, as a runtime asks that has forgotten them, does nothing", () => {
    const left = each((portmap, pod) => {
      portmap.map(pod, [tcp(80)], BOTH)
      expect(portmap.del(pod)).toMatchObject(QUIET)
      return hostportsOf(portmap.node).length
    })
    expect(left).toEqual([9, 0])
  })

  test("an ADD that fails leaves what it has made", () => {
    const left = each((portmap, pod) => {
      const external = portmap.as(portmap.implementation, { externalSetMarkChain: "NOWHERE" })
      const { exitCode, error } = external.add(pod, [tcp(80)], BOTH)
      expect(exitCode).toBe(1)
      if (portmap.implementation === "ours")
        expect(error).toMatchObject({ code: 11, msg: expect.stringContaining("no chain NOWHERE of table ip nat") })
      return saved(portmap.node).some((line) => line.includes("CNI"))
    })
    expect(left).toEqual([true, false])
  })

  test("of two pods that want a port both succeed, and one gets no packet", () => {
    const codes = each((portmap, pod) => {
      portmap.map(pod, [tcp(80)], V4)
      const before = saved(portmap.node)
      const { exitCode, error } = portmap.add(portmap.node.pod(), [tcp(9999), tcp(80)], ["10.1.0.3/24"])
      if (exitCode !== 0) {
        expect(error?.msg).toBe(
          `host port 80/tcp is taken by container ${pod.containerId} (network net, interface eth0)`,
        )
        expect(saved(portmap.node)).toEqual(before)
      }
      return error?.code ?? 0
    })
    expect(codes).toEqual([0, 102])
  })

  test("a network is renamed while a pod runs: DEL finds nothing, and the next pod's port leads to the one that is gone", () => {
    const codes = each((portmap, pod) => {
      const renamed = portmap.as(portmap.implementation, { name: "renamed" })
      portmap.map(pod, [tcp(80)], V4)
      expect(renamed.del(pod, { ports: [tcp(80)] })).toMatchObject(QUIET)
      expect(dnats(portmap.node)).toHaveLength(1)
      const { error } = renamed.add(portmap.node.pod(), [tcp(80)], ["10.1.0.3/24"])
      if (error) expect(error.msg).toContain(`container ${pod.containerId} (network net, interface eth0)`)
      return error?.code ?? 0
    })
    expect(codes).toEqual([0, 102])
  })

  test("CHECK passes though no packet gets to the pod's rules", () => {
    const codes = each((portmap, pod) => {
      portmap.map(pod, [tcp(80)], V4)
      iptables(portmap.node, "iptables -t nat -F PREROUTING", "iptables -t nat -F OUTPUT")
      return portmap.check(pod, [tcp(80)], V4).error?.code ?? 0
    })
    expect(codes).toEqual([0, 104])
  })

  test("CHECK passes though a rule leads elsewhere, before the pod's", () => {
    const codes = each((portmap, pod) => {
      portmap.map(pod, [tcp(80)], V4)
      const chain = hostportsOf(portmap.node)[0]?.match(/CNI-DN-\w+/)?.[0]
      iptables(portmap.node, `iptables -t nat -I ${chain} -p tcp --dport 80 -j DNAT --to-destination 10.1.0.77:80`)
      return portmap.check(pod, [tcp(80)], V4).error?.code ?? 0
    })
    expect(codes).toEqual([0, 104])
  })

  test("hostIP localhost makes no rule for IPv4, and ADD succeeds", () => {
    const ports = [tcp(80, 80, "localhost")]
    const led = each((portmap, pod) => {
      portmap.map(pod, ports, V4)
      expect(portmap.as("reference").check(pod, ports, V4), "the Go plugin's CHECK").toMatchObject(QUIET)
      return hostportsOf(portmap.node).flatMap((line) => /-d (\S+) .*-j DNAT/.exec(line)?.[1] ?? [])
    })
    expect(led).toEqual([[], ["127.0.0.1/32"]])
  })
})

/** Of the Go plugin one or the other fails then, or makes a rule twice; which, is chance. */
test("ADDs at once, the node's first, all succeed, each rule is there once, and DELs at once leave none", async () => {
  using node = new Node()
  const portmap = new Portmap(node, IPTABLES)
  const pods = Array.from({ length: 12 }, () => node.pod())
  const all = (command: string) =>
    Promise.all(
      pods.map((pod, at) => {
        const prevResult = resultOf(pod, [`10.1.0.${at + 2}/24`, `fd00::${at + 2}/64`])
        return node.callAsync("portmap", portmap.call(command, pod, { ports: [tcp(80 + at)], config: { prevResult } }))
      }),
    )
  for (const outcome of await all("ADD")) expect(outcome).toMatchObject(QUIET)
  const lines = saved(node)
  expect(lines.filter((line, at) => lines.indexOf(line) !== at)).toEqual([])
  expect(dnats(node)).toHaveLength(24)
  for (const outcome of await all("CHECK")) expect(outcome).toMatchObject(QUIET)
  for (const outcome of await all("DEL")) expect(outcome).toMatchObject(QUIET)
  expect(hostportsOf(node)).toEqual([])
})

describe("a port that another pod has", () => {
  const TWO = ["10.1.0.3/24"]

  test.each([
    ["one address, any address", tcp(80, 80, "192.0.2.1"), tcp(80), true],
    ["any address, one address", tcp(80), tcp(80, 80, "192.0.2.1"), true],
    ["the same address", tcp(80, 80, "192.0.2.1"), tcp(80, 81, "192.0.2.1"), true],
    ["two addresses", tcp(80, 80, "192.0.2.1"), tcp(80, 80, "192.0.2.2"), false],
    ["two protocols", tcp(80), udp(80), false],
  ] as const)("%s", (_, first, second, conflict) => {
    using node = new Node()
    const [one, two] = [node.pod(), node.pod()]
    const portmap = new Portmap(node, IPTABLES)
    portmap.map(one, [tcp(7000), first], V4)
    expect(portmap.add(two, [tcp(9999), second], TWO).error?.code).toBe(conflict ? 102 : undefined)
    expect(portmap.del(one)).toMatchObject(QUIET)
    portmap.map(two, [tcp(9999), second], TWO)
    expect(portmap.check(two, [tcp(9999), second], TWO)).toMatchObject(QUIET)
  })

  test.each(["ours", "reference"] as const)(
    "is the container's own on another of its networks (by %s)",
    (implementation) => {
      using node = new Node()
      const pod = node.pod()
      const portmap = new Portmap(node, IPTABLES)
      portmap.as(implementation).map(pod, [tcp(80)], V4)
      portmap.as("ours", { name: "other" }).map(pod, [tcp(80)], TWO)
      expect(portmap.del(pod)).toMatchObject(QUIET)
      expect(dnats(node)).toEqual(["80 -> 10.1.0.3:80"])
      expect(portmap.add(node.pod(), [tcp(80)], ["10.1.0.4/24"]).error?.code).toBe(102)
    },
  )

  test("of the Go plugin, with conditions that rules of ours cannot say, is taken too", () => {
    using node = new Node()
    const portmap = new Portmap(node, IPTABLES)
    const foreign = portmap.as("reference", {
      conditionsV4: ["-m", "statistic", "--mode", "random", "--probability", "0.5"],
    })
    const pod = node.pod()
    foreign.map(pod, [tcp(80)], V4)
    expect(portmap.add(node.pod(), [tcp(80)], TWO).error?.code).toBe(102)
    portmap.map(node.pod(), [tcp(81)], TWO)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(dnats(node)).toEqual(["81 -> 10.1.0.3:80"])
  })
})

describe("after", () => {
  test.each<[string, RegExp]>([
    ["iptables -t nat -F PREROUTING", /^there is no rule -A PREROUTING -m addrtype .* in table ip nat$/],
    ["iptables -t nat -F OUTPUT", /^there is no rule -A OUTPUT/],
    ["iptables -t nat -F POSTROUTING", /^there is no rule -A POSTROUTING -m comment .* -j CNI-HOSTPORT-MASQ/],
    ["iptables -t nat -F CNI-HOSTPORT-SETMARK", /^there is no rule -A CNI-HOSTPORT-SETMARK/],
    ["iptables -t nat -F CNI-HOSTPORT-MASQ", /^there is no rule -A CNI-HOSTPORT-MASQ/],
    ["iptables -t nat -F CNI-HOSTPORT-DNAT", /^there is no rule -A CNI-HOSTPORT-DNAT .* --dports 80,81 -j CNI-DN/],
    ["ip6tables -t nat -F", /^there is no rule -A CNI-DN-\S+ .* in table ip6 nat$/],
    ["iptables -t nat -F; iptables -t nat -X", /^there is no rule -A CNI-DN-/],
    ["nft delete table ip nat", /^there is no rule -A CNI-DN-/],
    ["nft flush ruleset", /^there is no rule -A CNI-DN-/],
  ])("%s CHECK names what is missing, and an ADD of the pod brings all of it back once", (command, words) => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node, IPTABLES)
    portmap.map(pod, [tcp(80), tcp(81)], BOTH)
    const before = saved(node)
    iptables(node, command)
    const ports = [tcp(80), tcp(81)]
    expect(portmap.check(pod, ports, BOTH).error).toMatchObject({ code: 104, msg: expect.stringMatching(words) })
    portmap.map(pod, ports, BOTH)
    expect(saved(node).sort()).toEqual(before.sort())
    expect(portmap.check(pod, ports, BOTH)).toMatchObject(QUIET)
    iptables(node, command)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(hostportsOf(node)).toEqual([])
  })

  test("a rule that is not in its place CHECK says so", () => {
    using node = new Node()
    const pod = node.pod()
    const portmap = new Portmap(node, IPTABLES)
    portmap.map(pod, [tcp(80)], V4)
    const rule = hostportsOf(node)
      .find((line) => line.includes("-s 127.0.0.1"))
      ?.replace(" -A ", " -D ")
    iptables(node, `${rule}`, `${rule?.replace(" -D ", " -A ")}`)
    expect(portmap.check(pod, [tcp(80)], V4).error?.msg).toMatch(/^a rule is not in its place: /)
  })
})

describe("GC", () => {
  test("removes the rules of the network's pods that are gone, says so, and leaves those of others", () => {
    using node = new Node()
    const [valid, stale, foreign, other] = [node.pod(), node.pod(), node.pod(), node.pod()]
    const portmap = new Portmap(node, IPTABLES)
    portmap.as("reference").map(foreign, [tcp(4)], ["10.1.0.5/24"])
    portmap.map(valid, [tcp(1)], V4)
    portmap.map(valid, [tcp(5)], ["10.1.0.6/24"], { ifname: "net1" })
    portmap.map(stale, [tcp(2), udp(2)], ["10.1.0.3/24", "fd00::3/64"])
    portmap.as("ours", { name: "net2" }).map(other, [tcp(3)], ["10.1.0.4/24"])
    const { exitCode, stderr } = portmap.gc([valid])
    expect(exitCode).toBe(0)
    expect(stderr.trim().split("\n").sort()).toEqual([
      expect.stringContaining(`removed host ports of ${valid.containerId} (net net1)`),
      expect.stringContaining(`removed host ports of ${stale.containerId} (net eth0)`),
    ])
    expect(dnats(node).sort()).toEqual(["1 -> 10.1.0.2:80", "3 -> 10.1.0.4:80", "4 -> 10.1.0.5:80"])
    expect(portmap.gc([valid])).toMatchObject(QUIET)
    expect(portmap.check(valid, [tcp(1)], V4)).toMatchObject(QUIET)
  })

  test("without a list removes those alone whose address is in no network namespace", () => {
    using node = new Node()
    const [gone, alive] = [node.pod(), node.pod()]
    const portmap = new Portmap(node, IPTABLES)
    portmap.map(gone, [tcp(80)], ["172.29.93.2/24"])
    portmap.map(alive, [tcp(81)], ["172.29.93.3/24"])
    alive.ip("addr", "add", "172.29.93.3/24", "dev", "lo")
    expect(portmap.ask("GC", undefined)).toMatchObject({ exitCode: 0 })
    expect(dnats(node)).toEqual(["81 -> 172.29.93.3:80"])
  })
})

test("a chain that a rule of somebody else leads to stays, empty, and DEL names the rule", () => {
  using node = new Node()
  const pod = node.pod()
  const portmap = new Portmap(node, IPTABLES)
  portmap.map(pod, [tcp(80)], BOTH)
  const chain = hostportsOf(node)[0]?.match(/CNI-DN-\w+/)?.[0]
  iptables(node, "iptables -t nat -N WATCH", `iptables -t nat -A WATCH -m comment --comment 'who asks' -j ${chain}`)
  const { exitCode, stderr } = portmap.del(pod)
  expect([exitCode, stderr.includes(`chain ${chain} of table ip nat is empty but stays`)], stderr).toEqual([0, true])
  portmap.map(pod, [tcp(80)], V4)
  expect(dnats(node)).toEqual(["80 -> 10.1.0.2:80"])
})

describe("where others have been before", () => {
  test.each(["PREROUTING", "OUTPUT", "POSTROUTING"])(
    "a chain %s at another hook is named, and nothing is changed",
    (name) => {
      using node = new Node()
      iptables(node, `nft 'add table ip6 nat; add chain ip6 nat ${name} { type filter hook input priority 0; }'`)
      const before = ruleset(node)
      const { error } = new Portmap(node, IPTABLES).add(node.pod(), [tcp(80)], BOTH)
      expect(error).toMatchObject({ code: 102, msg: expect.stringContaining(`chain ${name} of table ip6 nat`) })
      expect(ruleset(node)).toBe(before)
    },
  )

  test.each(["ADD", "STATUS"])("%s says that rules of iptables-legacy are not seen", (command) => {
    using node = new Node()
    iptables(node, "iptables-legacy -t nat -N CNI-HOSTPORT-DNAT")
    const pod = node.pod()
    const config = { prevResult: resultOf(pod, V4) }
    const asked = new Portmap(node, IPTABLES).ask(command, pod, { ports: [tcp(80)], config })
    expect(asked.exitCode).toBe(0)
    expect(asked.stderr).toContain("iptables-legacy has a table nat on this node")
  })
})
