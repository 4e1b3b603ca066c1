import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { environment, stdin } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { Firewalld } from "../../lab/firewalld.ts"
import { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { OUTSIDE } from "../bridge/outside.ts"
import { resultOf } from "../portmap/network.ts"
import { ADDRESSES, type Config, Firewall, iptables, QUIET, rulesFor } from "./network.ts"
import { NO, Site, YES } from "./site.ts"

const SOURCES = ["10.1.0.2/32", "fd00::2/128"]
const OTHERS = ["10.1.0.3/24", "fd00::3/64"]
const OF_OTHERS = ["10.1.0.3/32", "fd00::3/128"]
const IMPLEMENTATIONS = ["ours", "reference"] as const

let node: Node
let firewalld: Firewalld

beforeAll(() => {
  node = new Node()
  firewalld = new Firewalld(node, join(node.dir, "firewalld"))
})
afterAll(() => {
  firewalld[Symbol.dispose]()
  node[Symbol.dispose]()
})
afterEach(() => {
  for (const zone of ["trusted", "block"]) {
    for (const source of firewalld.sources(zone)) firewalld.call("zone.removeSource", zone, source)
  }
  iptables(node, "nft delete table inet cni_firewall 2>/dev/null || true", "iptables -P FORWARD ACCEPT")
  iptables(node, ...["iptables", "ip6tables"].flatMap((program) => [`${program} -F`, `${program} -X`]))
})

/** A network's `firewall`, which finds the bus. */
function network(
  config: Config = {},
  implementation: Implementation = "ours",
  env: Readonly<Record<string, string>> = {},
) {
  return new Firewall(node, { backend: "firewalld", ...config }, implementation, { ...firewalld.env, ...env })
}

/** Lists the table of the plugin's own. */
const ownTable = () => node.run("nft", "-s", "list", "table", "inet", "cni_firewall").stdout

const NOWHERE = { DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/nonexistent/bus" }

describe.each(["firewalld", ""])("with backend %j, as with the Go plugin,", (backend) => {
  test("each address is in the zone from ADD to DEL, and the previous result passes unchanged", () => {
    const answers = IMPLEMENTATIONS.map((implementation) => {
      const pod = node.pod()
      const firewall = network({ backend }, implementation)
      const { stdout } = firewall.tell("ADD", pod)
      expect(firewalld.sources()).toEqual(SOURCES)
      expect(rulesFor(node)).toEqual([])
      expect(firewall.tell("ADD", pod)).toMatchObject(QUIET)
      expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
      expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
      expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
      expect(firewalld.sources()).toEqual([])
      return JSON.parse(stdout.replaceAll(pod.path, "POD"))
    })
    expect(answers[0]).toEqual(answers[1])
  })

  test.each([["ours", "reference"] as const, ["reference", "ours"] as const])(
    "what %s added, %s checks, adds again and removes",
    (first, second) => {
      const pod = node.pod()
      network({ backend }, first).allow(pod)
      const other = network({ backend }, second)
      expect(other.tell("CHECK", pod)).toMatchObject(QUIET)
      other.allow(pod)
      expect(firewalld.sources()).toEqual(SOURCES)
      expect(other.tell("DEL", pod)).toMatchObject(QUIET)
      expect(firewalld.sources()).toEqual([])
    },
  )

  test.each(IMPLEMENTATIONS)("the zone is the one that is named (%s)", (implementation) => {
    const pod = node.pod()
    const firewall = network({ backend, firewalldZone: "public" }, implementation)
    firewall.allow(pod)
    expect([firewalld.sources("public"), firewalld.sources()]).toEqual([SOURCES, []])
    expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
    expect(firewalld.sources("public")).toEqual([])
  })
})

test.each(["iptables", "nftables"])("with backend %s firewalld is not asked", (backend) => {
  network({ backend }).allow(node.pod())
  expect(firewalld.sources()).toEqual([])
})

test("an ingress policy is kept by rules, of the table of our own and of iptables where those are", () => {
  const pod = node.pod()
  const firewall = network({ ingressPolicy: "same-bridge" })
  firewall.allow(pod)
  expect(ownTable()).toContain('iifname "cni0" oifname != "cni0" jump CNI-ISOLATION-STAGE-2')
  firewall.as("reference").allow(pod)
  expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
})

test("firewalld rejects what pods send beyond the node; in the zone they get out, and answers come back, until DEL", () => {
  const site = new Site(node)
  const [without, within] = [site.pod(1), site.pod(1, { backend: "" }, firewalld.env)]
  expect(without.pod.reaches(OUTSIDE)).toEqual(NO)
  expect(within.pod.reaches(OUTSIDE)).toEqual(YES)
  expect(within.firewall.forget(within.pod)).toMatchObject(QUIET)
  expect(within.pod.reaches(OUTSIDE)).toEqual(NO)
})

/** Each fault on the Go plugin first, so that a test says so if it is mended there. */
describe("faults of the Go plugin that this one has not", () => {
  test("CHECK passes for an address that is in no zone", () => {
    const pod = node.pod()
    network().allow(pod)
    firewalld.call("zone.removeSource", "trusted", "fd00::2/128")
    expect(network({}, "reference").tell("CHECK", pod)).toMatchObject(QUIET)
    expect(network().tell("CHECK", pod).error).toMatchObject({
      code: 104,
      msg: "fd00::2/128 is not in zone trusted of firewalld",
    })
  })

  test("DEL without previous result leaves the addresses", () => {
    const left = IMPLEMENTATIONS.map((implementation) => {
      const pod = node.pod()
      network({}, implementation).allow(pod)
      expect(network({}, implementation).forget(pod)).toMatchObject(QUIET)
      return firewalld.sources()
    })
    expect(left).toEqual([[], SOURCES])
  })

  test("an ADD that fails leaves an address in the zone, and does not say where the other one is", () => {
    firewalld.call("zone.addSource", "block", "fd00::2/128")
    for (const implementation of IMPLEMENTATIONS) {
      const { error } = network({}, implementation).tell("ADD", node.pod())
      if (implementation === "ours") {
        expect(error).toMatchObject({
          code: 102,
          msg: "fd00::2/128 is in zone block of firewalld, and has to be in trusted",
          details: expect.stringContaining("firewall-cmd --zone=block --remove-source=fd00::2/128"),
        })
      }
      expect(error).toBeDefined()
      expect(firewalld.sources()).toEqual(implementation === "ours" ? [] : ["10.1.0.2/32"])
    }
    expect(ownTable()).not.toContain("10.1.0.2")
    firewalld.call("zone.removeSource", "block", "fd00::2/128")
  })

  test("of two pods with the same address, on networks of their own, the first DEL cuts the other off", () => {
    const left = IMPLEMENTATIONS.map((implementation) => {
      const [one, two] = [node.pod(), node.pod()]
      network({}, implementation).allow(one)
      network({ name: "second" }, implementation).allow(two)
      expect(network({}, implementation).tell("DEL", one)).toMatchObject(QUIET)
      const sources = firewalld.sources()
      expect(network({ name: "second" }, implementation).tell("DEL", two)).toMatchObject(QUIET)
      expect(firewalld.sources()).toEqual([])
      return sources
    })
    expect(left).toEqual([SOURCES, []])
  })

  test("DEL of an old pod takes the addresses that a new one has by now", () => {
    const left = IMPLEMENTATIONS.map((implementation) => {
      const [old, young] = [node.pod(), node.pod()]
      network({}, implementation).allow(old)
      network({}, implementation).allow(young)
      expect(network({}, implementation).tell("DEL", old)).toMatchObject(QUIET)
      return firewalld.sources()
    })
    expect(left).toEqual([SOURCES, []])
  })

  test("rules that were made before firewalld ran stay when it runs, without backend", () => {
    iptables(node, "iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP")
    for (const implementation of IMPLEMENTATIONS) {
      const pod = node.pod()
      network({ backend: "" }, implementation, NOWHERE).allow(pod)
      expect(rulesFor(node)).toHaveLength(4)
      expect(network({ backend: "" }, implementation).tell("DEL", pod)).toMatchObject(QUIET)
      expect(rulesFor(node)).toHaveLength(implementation === "ours" ? 0 : 4)
    }
  })

  test("beside firewalld, Docker's FORWARD chain goes on dropping", () => {
    iptables(node, "iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP")
    const made = (["reference", "ours"] as const).map((implementation) => {
      network({ backend: "" }, implementation).allow(node.pod())
      return rulesFor(node).length
    })
    expect(made).toEqual([0, 4])
    expect(firewalld.sources()).toEqual(SOURCES)
  })

  test("without backend, firewalld of another network namespace is told to trust addresses of this one", () => {
    using other = new Node()
    const trusted = IMPLEMENTATIONS.map((implementation) => {
      const firewall = new Firewall(other, { backend: "" }, implementation, firewalld.env)
      firewall.allow(other.pod())
      return firewalld.sources()
    })
    expect(trusted).toEqual([[], SOURCES])
  })

  test("while firewalld does not answer, ADD never ends", () => {
    firewalld.whileHanging(() => {
      const pod = node.pod()
      const call = network({}, "reference").call("ADD", pod, { config: { prevResult: resultOf(pod, ADDRESSES) } })
      const go = node.inside(["timeout", "1", join(binDirectory("reference"), "firewall")])
      expect(run(go, { env: environment(call), stdin: stdin(call) }).exitCode).toBe(124)
      const impatient = network({}, "ours", { CNI_TS_WAIT: "1" })
      expect(impatient.tell("ADD", pod).error).toMatchObject({
        code: 11,
        msg: expect.stringMatching(/^cannot ask firewalld: no answer over .*\/bus within 1 seconds$/),
        details: expect.stringContaining("systemctl restart firewalld"),
      })
      expect(ownTable()).not.toContain("10.1.0.2")
      const { exitCode, stderr } = impatient.tell("DEL", pod)
      expect([exitCode, stderr]).toEqual([0, expect.stringContaining("may stay in zone trusted")])
    })
  })

  test("DEL fails if there is no bus any more", () => {
    const pod = node.pod()
    network().allow(pod)
    expect(network({}, "reference", NOWHERE).tell("DEL", pod)).toMatchObject({ exitCode: 1 })
    expect(network({}, "ours", NOWHERE).tell("DEL", pod)).toMatchObject(QUIET)
  })
})

describe("GC", () => {
  test("takes addresses of pods that are gone out of the zone, and leaves those of others", () => {
    const [gone, alive, foreign] = [node.pod(), node.pod(), node.pod()]
    const firewall = network()
    firewall.allow(gone)
    firewall.allow(alive, OTHERS)
    firewall.as("reference").allow(foreign, ["10.1.0.4/24"])
    firewalld.call("zone.addSource", "trusted", "10.9.0.0/16")
    expect(firewall.gc([alive])).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("removed a rule") })
    expect(firewalld.sources()).toEqual([...OF_OTHERS, "10.1.0.4/32", "10.9.0.0/16"].sort())
    expect(firewall.gc([alive])).toMatchObject(QUIET)
  })

  test("leaves an address that a living pod has by now", () => {
    const [gone, alive] = [node.pod(), node.pod()]
    network().allow(gone)
    network({ name: "second" }).allow(alive)
    expect(network().gc([])).toMatchObject({ exitCode: 0 })
    expect(firewalld.sources()).toEqual(SOURCES)
  })
})

test("after firewalld was loaded anew CHECK says so, and an ADD of the pod brings its addresses back", () => {
  const pod = node.pod()
  const firewall = network({ backend: "" })
  firewall.allow(pod)
  firewalld.reload()
  expect(firewall.tell("CHECK", pod).error).toMatchObject({
    code: 104,
    msg: "10.1.0.2/32 is not in zone trusted of firewalld",
    details: expect.stringContaining("loaded anew"),
  })
  firewall.allow(pod)
  expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
})

test("ADDs at once all succeed", async () => {
  const firewall = network({ backend: "" })
  const pods = Array.from({ length: 6 }, () => node.pod())
  const calls = pods.map((pod, at) => {
    const prevResult = resultOf(pod, [`10.1.0.${at + 2}/24`])
    return node.callAsync("firewall", firewall.call("ADD", pod, { config: { prevResult } }))
  })
  for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject(QUIET)
  expect(firewalld.sources()).toHaveLength(6)
})

test("a zone that firewalld has not is refused by ADD and STATUS, and DEL succeeds", () => {
  const pod = node.pod()
  const firewall = network({ backend: "", firewalldZone: "nozone" })
  const msg = 'invalid network config: firewalldZone: firewalld has no zone "nozone"'
  expect(firewall.tell("ADD", pod).error).toMatchObject({ code: 7, msg })
  expect(firewall.ask("STATUS", undefined).error).toMatchObject({ code: 50, msg })
  expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
  expect(network().ask("STATUS", undefined)).toMatchObject(QUIET)
})

test("nobody can be asked: by name ADD and STATUS fail, without backend they say that firewalld's rules are there", () => {
  for (const [address, words] of [
    ["unix:path=/nonexistent/bus", "cannot connect to /nonexistent/bus: ENOENT"],
    ["unix:abstract=/x", "there is no system bus"],
  ]) {
    const named = network({}, "ours", { DBUS_SYSTEM_BUS_ADDRESS: `${address}` })
    expect(named.tell("ADD", node.pod()).error).toMatchObject({ code: 11, msg: expect.stringContaining(`${words}`) })
    expect(named.ask("STATUS", undefined).error).toMatchObject({ code: 50, msg: expect.stringContaining(`${words}`) })
  }
  const refusing = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${node.dir}` }
  const { exitCode, stderr } = network({ backend: "" }, "ours", refusing).tell("ADD", node.pod())
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining("its rules are on this node")])
  expect(firewalld.sources()).toEqual([])
})
