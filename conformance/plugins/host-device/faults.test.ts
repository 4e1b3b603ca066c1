import { symlinkSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { install } from "../../lab/foreign.ts"
import { Node, Pod } from "../../lab/node.ts"
import { type Config, leased, leases, type Network } from "../bridge/network.ts"
import { OUTSIDE, ofLan } from "../macvlan/network.ts"
import { hostDevice, isBack, MAC, onLan, plugInDevice } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }

/** Gives the device to a pod whose namespace then ends. */
function connectAndEnd(network: Network): Pod {
  using pod = new Pod(`${network.node.name}-ends`)
  network.connect(pod)
  return pod
}

describe("a failed ADD leaves the device on the node, as it was, and no lease (the reference's leaves it in the pod)", () => {
  const full = { subnet: "10.20.0.0/24", rangeStart: OUTSIDE, rangeEnd: OUTSIDE, gateway: OUTSIDE }
  const causes: Readonly<Record<string, [config: (node: Node) => Config, msg: string]>> = {
    "IPAM has no address left": [(node) => ({ ipam: ofLan(node, { ranges: [[full]] }) }), "no IP addresses available"],
    "IPAM gives no address": [() => ({ ipam: { type: "foreign" } }), "IPAM plugin returned missing IP config"],
    "a route's gateway cannot be reached": [
      (node) => ({ ipam: ofLan(node, { routes: [{ dst: "10.5.0.0/16", gw: "172.31.9.9" }] }) }),
      "add route",
    ],
  }

  test.each(Object.entries(causes))("where %s", (_, [config, msg]) => {
    const attempt = (implementation: Implementation) => {
      using node = new Node()
      plugInDevice(node)
      node.ip("link", "set", "uplink", "up", "alias", "to the switch")
      const script = 'cat >/dev/null; [ "$CNI_COMMAND" = ADD ] && echo "{}"; true'
      const path = `${binDirectory(implementation)}:${install(node, "plugins", script)}`
      const pod = node.pod()
      const { error } = hostDevice(node, config(node), implementation).add(pod, { path })
      expect(error?.msg).toContain(msg)
      const { ifalias, flags } = node.link("uplink") ?? {}
      return { inPod: pod.link("eth0")?.address, ifalias, up: flags?.includes("UP"), leases: leased(node) }
    }
    expect(attempt("ours")).toEqual({ inPod: undefined, ifalias: "to the switch", up: true, leases: [] })
    expect(attempt("reference")).toMatchObject({ inPod: MAC })
  })
})

test("a device that is in another pod: ADD says who has it (the reference says that there is no such link)", () => {
  using node = new Node()
  plugInDevice(node)
  // All pods of this machine are looked through, those of other tests, which have their `uplink`, too.
  const [device, hwaddr] = ["rare", "02:00:00:e1:5e:01"]
  node.ip("link", "set", "uplink", "name", device, "address", hwaddr)
  const [first, second] = [node.pod(), node.pod()]
  const network = onLan(node, { device })
  const result = network.connect(first, { ifname: "net1" })
  const refused = (config: Config) => network.add(second, { config }).error
  const msg = `in the network namespace ${first.path}, as "net1"`
  expect(refused({})).toMatchObject({ code: 102, msg: expect.stringContaining(msg) })
  expect(refused({ device: "", hwaddr })).toMatchObject({ code: 102, msg: expect.stringContaining(msg) })
  expect(network.as("reference").add(second).error?.msg).toContain("Link not found")
  expect(network.del(second)).toMatchObject(QUIET)
  expect(network.check(first, result, { ifname: "net1" })).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.20.0.100"])
})

test("a second ADD is refused and does the first no harm", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  const network = onLan(node)
  const result = network.connect(pod)
  expect(network.add(pod).error).toMatchObject({ code: 102, msg: expect.stringContaining("already exists in the pod") })
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(leases(node)).toEqual(["10.20.0.100"])
})

describe("DEL succeeds (the reference's fails)", () => {
  const cases: Readonly<Record<string, (pod: Pod, node: Node) => string>> = {
    "the second time": (pod, node) => {
      hostDevice(node).del(pod)
      return pod.path
    },
    "when the pod's path leads nowhere": (pod) => `${pod.path}-gone`,
    "when the device was removed": (pod) => {
      pod.ip("link", "del", "eth0")
      return pod.path
    },
    "when the pod has renamed the device": (pod) => {
      pod.ip("link", "set", "eth0", "down")
      pod.ip("link", "set", "eth0", "name", "wan")
      return pod.path
    },
    "when the pod has a link without alias in its place": (pod) => {
      pod.ip("link", "set", "eth0", "alias", "")
      return pod.path
    },
    "when the device's name is taken on the node": (pod, node) => {
      node.ip("link", "add", "uplink", "type", "veth", "peer", "name", "x")
      return pod.path
    },
    "when the configuration names a PCI device that was unplugged": (pod) => pod.path,
    "when the configuration names no device": (pod) => pod.path,
  }

  test.each(Object.entries(cases))("%s", (name, prepare) => {
    const outcome = (implementation: Implementation) => {
      using node = new Node()
      plugInDevice(node)
      const pod = node.pod()
      hostDevice(node, {}, implementation).connect(pod)
      const netns = prepare(pod, node)
      const others: Config = { device: "", ...(name.includes("PCI") && { pciBusID: "0000:99:00.0" }) }
      const config = name.startsWith("when the configuration") ? others : {}
      return hostDevice(node, config, implementation).ask("DEL", netns, { containerId: pod.containerId })
    }
    expect(outcome("ours")).toMatchObject(QUIET)
    expect(outcome("reference").exitCode).toBe(1)
  })
})

test("a lease is released when DEL comes without the namespace, which a reboot ends (the reference keeps it)", () => {
  const left = (implementation: Implementation) => {
    using node = new Node()
    plugInDevice(node)
    const network = onLan(node, {}, implementation)
    const { containerId } = connectAndEnd(network)
    expect(network.ask("DEL", "", { containerId })).toMatchObject(QUIET)
    return leases(node)
  }
  expect([left("ours"), left("reference")]).toEqual([[], ["10.20.0.100"]])
})

test("a device that the pod has renamed comes back (the reference's DEL fails)", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  for (const keys of [{}, { device: "", hwaddr: MAC }]) {
    const network = hostDevice(node, keys)
    network.connect(pod)
    pod.ip("link", "set", "eth0", "down")
    pod.ip("link", "set", "eth0", "name", "wan")
    expect(network.del(pod)).toMatchObject(QUIET)
    expect([isBack(node), pod.link("wan")]).toEqual([true, undefined])
  }
})

test("a device whose name is taken on the node comes back as dev<N>, and gets its name by GC once that is free", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  const network = hostDevice(node)
  network.connect(pod)
  node.ip("link", "add", "uplink", "type", "veth", "peer", "name", "x")
  const { exitCode, stderr } = network.del(pod)
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining("the node has another uplink by now")])
  const back = () => node.ip("link", "show").find(({ address }) => address === MAC)
  expect(back()).toMatchObject({ ifname: expect.stringMatching(/^dev\d+$/), ifalias: "uplink" })
  expect(network.gc([])).toMatchObject(QUIET)
  expect(back()?.ifname).toMatch(/^dev/) // the other one still has the name
  node.ip("link", "del", "uplink")
  expect(network.gc([])).toMatchObject({ ...QUIET, stderr: expect.stringContaining("is uplink again") })
  expect(isBack(node)).toBe(true)
})

describe("a device that the kernel gave back when the pod's namespace ended", () => {
  /** As the kernel leaves a physical device, which there is none of for a test: down, with its name in the pod or dev<N>, and its alias. */
  const giveBack = (node: Node, name: string) => {
    plugInDevice(node)
    node.ip("link", "set", "uplink", "name", name, "alias", "uplink")
  }
  const gone = { containerId: "gone" }

  test.each(["eth0", "dev7"])("as %s gets its name by DEL (the reference's leaves it)", (name) => {
    const isRenamed = (implementation: Implementation, keys: Config) => {
      using node = new Node()
      giveBack(node, name)
      const network = hostDevice(node, keys, implementation)
      expect(network.ask("DEL", "", gone)).toMatchObject(QUIET)
      return isBack(node)
    }
    expect([isRenamed("ours", {}), isRenamed("ours", { device: "", hwaddr: MAC })]).toEqual([true, true])
    expect(isRenamed("reference", {})).toBe(false)
  })

  test.each(["eth0", "dev7"])("as %s gets its name by GC", (name) => {
    using node = new Node()
    giveBack(node, name)
    expect(hostDevice(node).gc([])).toMatchObject(QUIET)
    expect(isBack(node)).toBe(true)
  })

  test.each(["eth0", "dev7"])(
    "as %s serves the next pod, and has its name afterwards (the reference finds it not)",
    (name) => {
      using node = new Node()
      giveBack(node, name)
      const pod = node.pod()
      expect(hostDevice(node, {}, "reference").add(pod).error?.msg).toContain("Link not found")
      for (const keys of [{}, { device: "", hwaddr: MAC }]) {
        hostDevice(node, keys).connect(pod)
        expect(pod.link("eth0")?.["ifalias"]).toBe("uplink")
        expect(hostDevice(node).del(pod)).toMatchObject(QUIET)
        expect(isBack(node)).toBe(true)
        node.ip("link", "set", "uplink", "name", name, "alias", "uplink")
      }
    },
  )

  test.each([
    ["is up", "dev7", ["up"]],
    ["has an administrator's alias", "wan", []],
    ["has an alias of several words", "dev7", ["alias", "to the switch"]],
  ])("is only what certainly is: a link that %s keeps its name", (_, name, change) => {
    using node = new Node()
    giveBack(node, name)
    if (change.length > 0) node.ip("link", "set", name, ...change)
    const network = hostDevice(node, { device: "", hwaddr: MAC })
    expect([network.ask("DEL", "", gone), network.gc([])]).toMatchObject([QUIET, QUIET])
    expect(node.link(name)?.address).toBe(MAC)
  })
})

test("a virtual device that was destroyed with its pod leaves nothing to be done", () => {
  using node = new Node()
  plugInDevice(node)
  const network = onLan(node)
  const { path, containerId } = connectAndEnd(network)
  expect(network.ask("DEL", path, { containerId })).toMatchObject(QUIET)
  expect([leases(node), node.link("uplink")]).toEqual([[], undefined])
})

test("DEL of another network, whose own device is on the node, spares the device (the reference's takes it out)", () => {
  const isSpared = (implementation: Implementation) => {
    using node = new Node()
    plugInDevice(node)
    node.ip("link", "add", "other", "type", "veth", "peer", "name", "x")
    const pod = node.pod()
    const network = hostDevice(node, {}, implementation)
    network.connect(pod)
    const second = network.as(implementation, { name: "second", device: "other" })
    expect([second.add(pod).exitCode, second.del(pod).exitCode]).toEqual([1, 0])
    return pod.link("eth0")?.address === MAC
  }
  expect([isSpared("ours"), isSpared("reference")]).toEqual([true, false])
})

test.each(["ours", "reference"] as const)(
  "a network that names another device by now gives back what it gave: %s",
  (implementation) => {
    using node = new Node()
    plugInDevice(node)
    node.ip("link", "add", "other", "type", "veth", "peer", "name", "x")
    const pod = node.pod()
    const network = hostDevice(node, {}, implementation)
    const prevResult = network.connect(pod)
    expect(network.as(implementation, { device: "other" }).del(pod, { config: { prevResult } })).toMatchObject(QUIET)
    expect([pod.link("eth0"), isBack(node)]).toEqual([undefined, true])
  },
)

test("DEL by a path that leads to another pod by now spares that pod's device", () => {
  using node = new Node()
  plugInDevice(node)
  node.ip("link", "add", "other", "address", "02:00:00:00:0d:02", "type", "veth", "peer", "name", "x")
  const [first, second] = [node.pod(), node.pod()]
  const network = hostDevice(node, { device: "", hwaddr: MAC })
  const prevResult = network.connect(first)
  hostDevice(node, { device: "other" }).connect(second)
  first.ip("link", "del", "eth0")
  const path = `${node.dir}/netns`
  symlinkSync(second.path, path)
  for (const config of [{ prevResult }, {}]) {
    expect(network.ask("DEL", path, { containerId: first.containerId, config })).toMatchObject(QUIET)
    expect(second.link("eth0")?.["ifalias"]).toBe("other")
  }
})

test("a pod that changes the alias does not choose the device's name on the node (the reference lets it)", () => {
  const nameOf = (implementation: Implementation) => {
    using node = new Node()
    plugInDevice(node)
    const pod = node.pod()
    const network = hostDevice(node, {}, implementation)
    network.connect(pod)
    pod.ip("link", "set", "eth0", "alias", "docker0")
    expect(network.del(pod)).toMatchObject(QUIET)
    return node.ip("link", "show").find(({ address }) => address === MAC)?.ifname
  }
  expect([nameOf("ours"), nameOf("reference")]).toEqual(["uplink", "docker0"])
})

test("GC frees the leases of attachments that are no longer valid, and leaves the device that a pod has", () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  const network = onLan(node)
  const result = network.connect(pod)
  expect(network.gc([pod])).toMatchObject(QUIET)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(network.gc([])).toMatchObject(QUIET)
  expect(leases(node)).toEqual([])
})

test("STATUS fails if the device is neither on the node nor in a pod (the reference's never looks)", () => {
  using node = new Node()
  const status = (config: Config = {}) => onLan(node, config).ask("STATUS", undefined)
  expect(status().error).toMatchObject({ code: 50, msg: expect.stringContaining('none with device "uplink"') })
  expect(onLan(node, {}, "reference").ask("STATUS", undefined)).toMatchObject(QUIET)
  plugInDevice(node)
  expect(status()).toMatchObject(QUIET)
  expect(status({ device: undefined, capabilities: { deviceID: true } })).toMatchObject(QUIET) // each pod's call names one
  expect(status({ device: "", hwaddr: "x" }).error?.code).toBe(50)
  const pod = node.pod()
  onLan(node).connect(pod)
  expect([status(), status({ device: "", hwaddr: MAC })]).toMatchObject([QUIET, QUIET])
})

describe("CHECK fails when", () => {
  const faults: Readonly<Record<string, [harm: (pod: Pod) => unknown, msg: string]>> = {
    "the device is gone": [(pod) => pod.ip("link", "del", "eth0"), "interface eth0 is gone"],
    "its MAC address is another": [
      (pod) => pod.ip("link", "set", "eth0", "address", "02:00:00:00:00:55"),
      "MAC address of eth0 is 02:00:00:00:00:55, not ",
    ],
    "its alias is gone, by which DEL finds its name (the reference's succeeds)": [
      (pod) => pod.ip("link", "set", "eth0", "alias", ""),
      "the alias of eth0",
    ],
    "an address is missing": [(pod) => pod.ip("addr", "flush", "dev", "eth0"), "address 10.20.0.100/24 is missing"],
    "a route is missing": [(pod) => pod.ip("route", "del", "10.5.0.0/16"), "route 10.5.0.0/16 of eth0 is missing"],
  }

  test.each(Object.entries(faults))("%s", (_, [harm, msg]) => {
    using node = new Node()
    plugInDevice(node)
    const network = onLan(node, { ipam: ofLan(node, { routes: [{ dst: "10.5.0.0/16" }] }) })
    const pod = node.pod()
    const result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    harm(pod)
    expect(network.check(pod, result).error).toMatchObject({ code: 104, msg: expect.stringContaining(msg) })
  })
})
