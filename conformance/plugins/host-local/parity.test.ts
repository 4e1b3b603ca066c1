import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { type Asked, implementations, Network } from "./network.ts"

interface Step extends Asked {
  readonly verb: "add" | "del" | "check"
  readonly id: string
}

interface Scenario {
  readonly ipam: object
  readonly more?: object
  /** Files that are there before, by name. */
  readonly files?: Readonly<Record<string, string>>
  readonly steps: readonly Step[]
}

interface Seen {
  readonly outcomes: readonly unknown[]
  readonly messages: readonly string[]
  readonly files: Readonly<Record<string, string>>
}

/** Returns what the calls answered, and the files that they left: names, modes and content. */
function play(scenario: Scenario, implementation: Implementation): Seen {
  using node = new Node()
  writeFileSync(
    join(node.dir, "resolv.conf"),
    "nameserver 192.0.2.53\nsearch a.example\nsearch b.example\noptions x y\n",
  )
  const network = new Network(node, fillIn(scenario.ipam, node.dir), scenario.more)
  for (const [name, content] of Object.entries(scenario.files ?? {})) network.put(name, content)
  const done = scenario.steps.map(({ verb, id, ...asked }) => network[verb](id, { ...asked, implementation }))
  return {
    outcomes: done.map(({ exitCode, result, stderr }) => ({ exitCode, result, stderr })),
    messages: done.map(({ error }) => error?.msg ?? ""),
    files: network.files(),
  }
}

function fillIn(ipam: object, dir: string): object {
  return JSON.parse(JSON.stringify(ipam).replaceAll("$DIR", dir))
}

/** Both implementations do the same; where they fail, our message holds the words of the reference's. */
function expectParity(scenario: Scenario): Seen {
  const [ours, reference] = [play(scenario, "ours"), play(scenario, "reference")]
  expect({ ...ours, messages: [] }).toEqual({ ...reference, messages: [] })
  for (const [index, message] of reference.messages.entries()) expect(ours.messages[index]).toContain(message)
  return ours
}

const add = (id: string, asked: Asked = {}): Step => ({ verb: "add", id, ...asked })
const del = (id: string, asked: Asked = {}): Step => ({ verb: "del", id, ...asked })
const check = (id: string, asked: Asked = {}): Step => ({ verb: "check", id, ...asked })
const one = { subnet: "10.1.2.0/29" }
const dual = { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "2001:db8:1::/64" }]] }

describe("a dual-stack ADD", () => {
  const routes = [
    { dst: "0.0.0.0/0" },
    { dst: "::/0" },
    { dst: "192.168.0.0/16", gw: "1.1.1.1" },
    { dst: "2001:db8:2::/64", gw: "2001:db8:3::1" },
  ]

  test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
    "answers and writes as the reference does in CNI %s",
    (cniVersion) => {
      const ipam = { ...dual, routes, resolvConf: "$DIR/resolv.conf" }
      const { outcomes, files } = expectParity({ ipam, more: { cniVersion }, steps: [add("dummy")] })
      expect(outcomes).toMatchObject([{ exitCode: 0, stderr: "" }])
      expect(files).toEqual({
        "10.1.2.2": "600 dummy\r\neth0",
        "2001:db8:1::2": "600 dummy\r\neth0",
        "last_reserved_ip.0": "600 10.1.2.2",
        "last_reserved_ip.1": "600 2001:db8:1::2",
        lock: "750 ",
      })
    },
  )

  test("is undone by DEL, which leaves the last reserved addresses", () => {
    const { files } = expectParity({ ipam: dual, steps: [add("dummy"), check("dummy"), del("dummy")] })
    expect(Object.keys(files)).toEqual(["last_reserved_ip.0", "last_reserved_ip.1", "lock"])
  })
})

const scenarios: Record<string, Scenario> = {
  "two interfaces of a container have independent addresses, and DEL of one keeps the other": {
    ipam: one,
    steps: [add("c"), add("c", { ifname: "eth1" }), del("c"), check("c", { ifname: "eth1" }), check("c")],
  },
  "a second ADD of an attachment fails and keeps its lease; another container gets the next address": {
    ipam: one,
    steps: [add("c"), add("c"), add("d"), check("c")],
  },
  "DEL frees a lease that names only the container": {
    ipam: one,
    files: { "10.1.2.3": "c", "10.1.2.4": "d\r\neth0" },
    steps: [del("c", { ifname: "eth7" })],
  },
  "DEL prefers the leases that name the interface": {
    ipam: one,
    files: { "10.1.2.3": "c", "10.1.2.4": "c\r\neth0" },
    steps: [del("c")],
  },
  "ADD counts a lease that names only the container": { ipam: one, files: { "10.1.2.3": "c" }, steps: [add("c")] },
  "CHECK accepts a lease that names only the container": {
    ipam: one,
    files: { "10.1.2.3": "c\n" },
    steps: [check("c")],
  },
  "CHECK fails without a lease": { ipam: one, files: { "10.1.2.3": "c\r\neth1" }, steps: [check("c")] },
  "DEL of an unknown container succeeds": {
    ipam: one,
    steps: [add("c"), del("d"), del("d"), del("c", { ifname: "eth1" })],
  },
  "released addresses are not given again at once": {
    ipam: one,
    steps: [add("a"), del("a"), add("b"), del("b"), add("a")],
  },
  "an exhausted range says so": { ipam: { subnet: "10.1.2.0/30" }, steps: [add("a"), add("b"), del("a"), add("b")] },
  "the walk resumes behind the last reserved address": {
    ipam: one,
    files: { "last_reserved_ip.0": "10.1.2.5" },
    steps: [add("a"), add("b")],
  },
  "a last reserved address out of range is ignored": {
    ipam: one,
    files: { "last_reserved_ip.0": "10.1.2.128" },
    steps: [add("a")],
  },
  "a last reserved address that is none is ignored": {
    ipam: one,
    files: { "last_reserved_ip.0": "" },
    steps: [add("a")],
  },
  "a full subnet except the last reserved address gives that one": {
    ipam: { subnet: "10.1.2.0/29" },
    files: { "10.1.2.2": "x", "10.1.2.3": "x", "10.1.2.4": "x", "10.1.2.6": "x", "last_reserved_ip.0": "10.1.2.5" },
    steps: [add("a"), add("b")],
  },
  "the walk goes over several subnets and back to the first": {
    ipam: { ranges: [[{ subnet: "10.1.2.0/30" }, { subnet: "10.1.3.0/30" }]] },
    steps: [add("a"), add("b"), add("c"), del("a"), add("c")],
  },
  "the end of one range is followed by the next range's first address": {
    ipam: { ranges: [[{ subnet: "10.1.2.0/24", rangeEnd: "10.1.2.9" }, { subnet: "10.1.3.0/24" }]] },
    files: { "last_reserved_ip.0": "10.1.2.9" },
    steps: [add("a")],
  },
  "the gateway, the network and the broadcast address are never given": {
    ipam: { subnet: "10.1.2.0/29", gateway: "10.1.2.3" },
    steps: ["a", "b", "c", "d", "e", "f"].map((id) => add(id)),
  },
  "network and broadcast address are given where the range names them": {
    ipam: { ...one, rangeStart: "10.1.2.0", rangeEnd: "10.1.2.7", gateway: "10.1.9.1" },
    steps: ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map((id) => add(id)),
  },
  "an address is requested by CNI_ARGS, with or without prefix": {
    ipam: one,
    steps: [add("a", { args: "IP=10.1.2.5" }), add("b", { args: "IP=10.1.2.4/24;IgnoreUnknown=1;K8S=x" })],
  },
  "an address is requested by args, and by runtimeConfig": {
    ipam: one,
    steps: [
      add("a", { config: { args: { cni: { ips: ["10.1.2.5"] } } } }),
      add("b", { config: { args: { cni: { ips: ["10.1.2.4/24"] } } } }),
      add("c", { config: { runtimeConfig: { ips: ["10.1.2.6"] } } }),
      add("d", { config: { runtimeConfig: { ips: ["10.1.2.3/24"] } } }),
    ],
  },
  "addresses are requested from two sets, of two families, from a second range": {
    ipam: { ranges: [[{ subnet: "10.1.2.0/24" }, { subnet: "10.1.3.0/24" }], [{ subnet: "fd00::/64" }]] },
    steps: [
      add("a", { config: { runtimeConfig: { ips: ["fd00::77", "10.1.3.7"] } } }),
      add("b", { config: { args: { cni: { ips: ["10.1.2.88"] } } } }),
      add("c", { args: "IP=fd00::99" }),
    ],
  },
  "a requested address that is taken, or the gateway, is refused": {
    ipam: one,
    steps: [add("a", { args: "IP=10.1.2.4" }), add("b", { args: "IP=10.1.2.4" }), add("b", { args: "IP=10.1.2.1" })],
  },
  "the runtime's ranges come first": {
    ipam: { subnet: "10.1.2.0/24", ranges: [[{ subnet: "10.1.3.0/24" }]] },
    more: { runtimeConfig: { ipRanges: [[{ Subnet: "10.244.1.0/24" }]] } },
    steps: [add("a")],
  },
  "addresses are written in their canonical form": {
    ipam: { subnet: "2001:DB8:0:0:1:0:0:0/80", rangeStart: "2001:0db8::1:0:0:00AB" },
    steps: [add("a")],
  },
  "a lease of a range that is no longer configured is freed": {
    ipam: one,
    files: { "192.168.1.9": "c\r\neth0", "fd00::9": "c\r\neth0" },
    steps: [add("c"), del("c")],
  },
  "wrong CNI_ARGS fail": { ipam: one, steps: [add("a", { args: "GATEWAY=10.1.2.1" }), add("a", { args: "IP" })] },
  "sets that overlap fail": { ipam: { ranges: [[one], [{ subnet: "10.1.2.4/30" }]] }, steps: [add("a")] },
  "ranges of a set that overlap fail": { ipam: { ranges: [[one, { subnet: "10.1.2.4/30" }]] }, steps: [add("a")] },
  "two addresses of a family in CNI 0.2.0 fail": {
    ipam: { ranges: [[one], [{ subnet: "10.1.3.0/24" }]] },
    more: { cniVersion: "0.2.0" },
    steps: [add("a")],
  },
}

/** Scenarios in which our message says the same in other words, or says more in the middle. */
const OWN_WORDS = new Set(["wrong CNI_ARGS fail", "ranges of a set that overlap fail"])

describe("as with the reference,", () => {
  test.each(Object.entries(scenarios))("%s", (name, scenario) => {
    if (!OWN_WORDS.has(name)) {
      expectParity(scenario)
      return
    }
    const [ours, reference] = [play(scenario, "ours"), play(scenario, "reference")]
    expect({ ...ours, messages: [] }).toEqual({ ...reference, messages: [] })
    expect(ours.messages.every((message) => message !== "")).toBe(true)
  })
})

test("whitespace around a container id never reaches a file: both refuse such an id", () => {
  for (const implementation of implementations) {
    using node = new Node()
    const network = new Network(node, one)
    expect(network.add(" c", { implementation }).error).toMatchObject({ code: 4 })
    expect(network.files()).toEqual({})
  }
})

test("requested addresses outside the ranges are refused in the reference's words, and by us before anything is written", () => {
  const ipam = { subnet: "10.1.2.0/24", rangeStart: "10.1.2.10", rangeEnd: "10.1.2.20" }
  const steps = ["10.1.2.9", "10.1.2.21", "10.9.9.9", "fd00::1"].map((ip) => add("a", { args: `IP=${ip}` }))
  const [ours, reference] = [play({ ipam, steps }, "ours"), play({ ipam, steps }, "reference")]
  expect(ours.outcomes).toEqual(reference.outcomes)
  expect(ours.messages).toEqual(reference.messages)
  expect(ours.messages[0]).toBe("failed to allocate all requested IPs: 10.1.2.9")
  expect(ours.files).toEqual({})
})

test("the default data directory is the reference's", () => {
  for (const implementation of implementations) {
    using node = new Node()
    const config = { cniVersion: "1.1.0", name: "net", type: "x", ipam: { type: "host-local", ...one, dataDir: "" } }
    const call = { command: "ADD", netns: "/run/netns/none", config, ownVarLib: true, implementation } as const
    expect(node.call("host-local", call)).toMatchObject({ exitCode: 0 })
    expect(existsSync(join(node.dir, "var-lib/cni/networks/net/10.1.2.2"))).toBe(true)
  }
})
