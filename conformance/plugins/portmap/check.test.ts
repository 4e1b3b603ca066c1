import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { nft, Portmap, QUIET, rules, ruleset, tcp, udp } from "./network.ts"

const ADDRESSES = ["10.1.0.2/24", "fd00::2/64"]
const PORTS = [tcp(8080), udp(53, 53, "192.0.2.1")]

function setUp() {
  const node = new Node()
  const portmap = new Portmap(node, { conditionsV4: ["ip saddr != 10.9.0.0/16"] })
  const pod = node.pod()
  return { node, portmap, pod, check: () => portmap.check(pod, PORTS, ADDRESSES) }
}

test("CHECK fails before ADD, passes in between and fails after DEL", () => {
  const { node, portmap, pod, check } = setUp()
  using _ = node
  expect(check().error).toMatchObject({ code: 104, msg: expect.stringContaining("8080/tcp is missing") })
  portmap.map(pod, PORTS, ADDRESSES)
  expect(check()).toMatchObject({ ...QUIET, stdout: "" })
  portmap.del(pod)
  expect(check().error?.code).toBe(104)
})

describe("CHECK names", () => {
  const DAMAGE: Readonly<Record<string, readonly [string[], string]>> = {
    "a masquerade rule that is missing": [["flush chain ip cni_hostport masquerading"], "chain masquerading"],
    "a rule of IPv6 that is missing": [["flush chain ip6 cni_hostport hostports"], "table ip6 cni_hostport"],
    "a jump that is missing": [["flush chain ip cni_hostport output"], "chain output"],
    "a chain that leads nowhere": [["flush chain ip cni_hostport hostports_all"], "chain hostports_all"],
    "a ruleset that is gone": [["flush ruleset"], "8080/tcp is missing"],
  }

  test.each(Object.entries(DAMAGE))("%s, and says what to do; an ADD restores it", (_, [script, problem]) => {
    const { node, portmap, pod, check } = setUp()
    using _node = node
    portmap.map(pod, PORTS, ADDRESSES)
    const whole = ruleset(node, { sets: true })
    nft(node, ...script)
    expect(check().error).toMatchObject({ code: 104, msg: expect.stringContaining(problem) })
    expect(check().error?.details).toContain("ADD")
    portmap.map(pod, PORTS, ADDRESSES)
    expect(check()).toMatchObject(QUIET)
    expect(new Set(ruleset(node, { sets: true }).map((entry) => JSON.stringify(entry)))).toEqual(
      new Set(whole.map((entry) => JSON.stringify(entry))),
    )
  })

  test("a rule too many of a pod that the Go plugin added, whose CHECK overlooks it", () => {
    const { node, portmap, pod } = setUp()
    using _ = node
    const check = () => portmap.as("ours", { conditionsV4: [] }).check(pod, PORTS, ADDRESSES)
    portmap.as("reference", { conditionsV4: [] }).map(pod, PORTS, ADDRESSES)
    expect(check()).toMatchObject(QUIET)
    nft(node, `add rule ip cni_hostport hostports tcp dport 1 dnat to 10.1.0.2:1 comment "${pod.containerId}"`)
    expect(portmap.as("reference", { conditionsV4: [] }).check(pod, PORTS, ADDRESSES)).toMatchObject(QUIET)
    expect(check().error).toMatchObject({ code: 104, msg: expect.stringContaining("too many") })
  })

  test("a rule that leads elsewhere, which the Go plugin's CHECK overlooks", () => {
    const { node, portmap, pod } = setUp()
    using _ = node
    portmap.map(pod, PORTS, ADDRESSES)
    const moved = ["10.1.0.77/24", "fd00::2/64"]
    expect(portmap.as("reference", { conditionsV4: [] }).check(pod, PORTS, moved)).toMatchObject(QUIET)
    expect(portmap.check(pod, PORTS, moved).error?.code).toBe(104)
  })
})

test("any later pod's ADD brings the shared rules back", () => {
  const { node, portmap, pod, check } = setUp()
  using _ = node
  portmap.map(pod, PORTS, ADDRESSES)
  nft(node, "flush chain ip cni_hostport prerouting", "flush chain ip6 cni_hostport hostports_all")
  expect(check().error?.code).toBe(104)
  portmap.map(node.pod(), [tcp(9090)], ["10.1.0.3/24", "fd00::3/64"])
  expect(check()).toMatchObject(QUIET)
})

test("CHECK needs prevResult, and nothing where no port is asked for", () => {
  const { node, portmap, pod } = setUp()
  using _ = node
  expect(portmap.ask("CHECK", pod, { ports: PORTS }).error).toMatchObject({ code: 7 })
  expect(portmap.check(pod, [], ADDRESSES)).toMatchObject(QUIET)
})

describe("GC", () => {
  test("removes this network's rules of attachments that are not valid, and no others", () => {
    using node = new Node()
    const [valid, stale, foreign, other] = [node.pod(), node.pod(), node.pod(), node.pod()]
    const portmap = new Portmap(node)
    portmap.as("reference").map(foreign, [tcp(4)], ["10.1.0.5/24"])
    portmap.map(valid, [tcp(1)], ["10.1.0.2/24"])
    portmap.map(valid, [tcp(5)], ["10.1.0.6/24"], { ifname: "net1" })
    portmap.map(stale, [tcp(2), udp(2)], ["10.1.0.3/24", "fd00::3/64"])
    new Portmap(node, { name: "net2" }).map(other, [tcp(3)], ["10.1.0.4/24"])
    const { exitCode, stdout, stderr } = portmap.gc([valid])
    expect([exitCode, stdout]).toEqual([0, ""])
    expect(stderr.trim().split("\n").sort()).toEqual([
      expect.stringContaining(`removed host ports of ${valid.containerId} (net net1)`),
      expect.stringContaining(`removed host ports of ${stale.containerId} (net eth0)`),
    ])
    const left = rules(node, "hostports").map((rule) => /dport (\d+)/.exec(rule)?.[1])
    expect(left.sort()).toEqual(["1", "3", "4"])
    expect(rules(node, "hostports", "ip6")).toEqual([])
    expect(portmap.gc([valid])).toMatchObject({ ...QUIET, stdout: "" })
    portmap.map(stale, [tcp(2)], ["10.1.0.3/24"])
  })

  test("of a node without rules succeeds", () => {
    using node = new Node()
    expect(new Portmap(node).gc([])).toMatchObject(QUIET)
    expect(ruleset(node)).toEqual([])
  })
})

describe("STATUS", () => {
  test("is quiet where ADD can be served, and changes nothing", () => {
    using node = new Node()
    expect(new Portmap(node).ask("STATUS", undefined)).toMatchObject({ ...QUIET, stdout: "" })
    expect(ruleset(node)).toEqual([])
  })

  test.each([
    [{ backend: "iptables", conditionsV4: ["-p", "tcp"] }, "conditionsV4"],
    [{ conditionsV6: ["-s", "fd00::1"] }, "conditionsV6"],
  ])("is code 50 with %j", (config, word) => {
    using node = new Node()
    const { error } = new Portmap(node, config).ask("STATUS", undefined)
    expect(error).toMatchObject({ code: 50, msg: expect.stringContaining(word) })
  })

  test("is code 50 where another program has a table of the name", () => {
    using node = new Node()
    nft(node, "add table ip6 cni_hostport", "add chain ip6 cni_hostport output { type filter hook output priority 0; }")
    expect(new Portmap(node).ask("STATUS", undefined).error).toMatchObject({ code: 50 })
  })
})
