import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { ruleset } from "../../lab/ruleset.ts"
import { saved } from "../../xtables/rules.ts"
import { resultOf } from "../portmap/network.ts"
import { ADDRESSES, Firewall, iptables, QUIET, rulesFor } from "./network.ts"

const OTHERS = ["10.1.0.3/24", "fd00::3/64"]

/** Each fault on the Go plugin first, so that a test says so if it is mended there. */
describe("faults of the Go plugin that this one has not", () => {
  test("DEL without previous result leaves the pod's rules", () => {
    const left = (implementation: Implementation) => {
      using node = new Node()
      const [pod, other] = [node.pod(), node.pod()]
      const firewall = new Firewall(node, {}, implementation)
      firewall.allow(pod)
      firewall.allow(other, OTHERS)
      expect(firewall.forget(pod)).toMatchObject(QUIET)
      expect(rulesFor(node, OTHERS)).toHaveLength(4)
      return rulesFor(node).length
    }
    expect([left("reference"), left("ours")]).toEqual([4, 0])
  })

  test("an ADD that fails for its ingressPolicy leaves its rules", () => {
    const left = (implementation: Implementation) => {
      using node = new Node()
      const pod = node.pod()
      const firewall = new Firewall(node, { ingressPolicy: "closed" }, implementation)
      expect(firewall.tell("ADD", pod)).toMatchObject({ exitCode: 1 })
      expect(firewall.forget(pod).exitCode).toBe(implementation === "ours" ? 0 : 1)
      return rulesFor(node).length
    }
    expect([left("reference"), left("ours")]).toEqual([4, 0])
  })

  test("of two pods with the same address, on networks of their own, the first DEL cuts the other off", () => {
    const left = (implementation: Implementation) => {
      using node = new Node()
      const [one, two] = [node.pod(), node.pod()]
      const firewall = new Firewall(node, {}, implementation)
      const second = firewall.as(implementation, { name: "second" })
      firewall.allow(one)
      second.allow(two)
      expect(firewall.tell("DEL", one)).toMatchObject(QUIET)
      expect(second.tell("CHECK", two).exitCode).toBe(implementation === "ours" ? 0 : 1)
      return rulesFor(node).length
    }
    expect([left("reference"), left("ours")]).toEqual([0, 4])
  })

  test("DEL fails for a configuration that became invalid, and with firewalld gone", () => {
    for (const config of [{ ingressPolicy: "closed" }, { backend: "firewalld" }]) {
      using node = new Node()
      const pod = node.pod()
      const firewall = new Firewall(node)
      firewall.allow(pod)
      const env = { DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/nonexistent/bus", PATH: process.env["PATH"] }
      expect(firewall.as("reference", config).tell("DEL", pod, ADDRESSES, { env })).toMatchObject({ exitCode: 1 })
      firewall.allow(pod)
      expect(firewall.as("ours", config).tell("DEL", pod, ADDRESSES, { env })).toMatchObject(QUIET)
      expect(rulesFor(node)).toEqual([])
    }
  })

  test("DEL of an old pod takes the rules of the pod that has its address by now", () => {
    const left = (implementation: Implementation) => {
      using node = new Node()
      const [old, young] = [node.pod(), node.pod()]
      const firewall = new Firewall(node, {}, implementation)
      firewall.allow(old)
      firewall.allow(young)
      expect(firewall.tell("DEL", old)).toMatchObject(QUIET)
      return rulesFor(node).length
    }
    expect([left("reference"), left("ours")]).toEqual([0, 4])
  })

  test("CHECK makes chains that are missing", () => {
    const made = (implementation: Implementation) => {
      using node = new Node()
      const pod = node.pod()
      expect(new Firewall(node, {}, implementation).tell("CHECK", pod)).toMatchObject({ exitCode: 1 })
      return saved(node).some((line) => line.includes("CNI-FORWARD"))
    }
    expect([made("reference"), made("ours")]).toEqual([true, false])
  })

  test("CHECK passes without the rules of the ingress policy", () => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node, { ingressPolicy: "same-bridge" })
    firewall.allow(pod)
    iptables(node, "iptables -F CNI-ISOLATION-STAGE-1")
    expect(firewall.as("reference").tell("CHECK", pod)).toMatchObject(QUIET)
    expect(firewall.tell("CHECK", pod).error).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/^there is no rule -A CNI-ISOLATION-STAGE-1 -i cni0 ! -o cni0 .* in table ip filter$/),
    })
  })

  test("after the jump to CNI-FORWARD was lost, the ingress policy has no effect any more", () => {
    const forward = (implementation: Implementation) => {
      using node = new Node()
      const firewall = new Firewall(node, { ingressPolicy: "same-bridge" }, implementation)
      firewall.allow(node.pod())
      iptables(node, "iptables -D FORWARD -m comment --comment 'CNI firewall plugin rules' -j CNI-FORWARD")
      const pod = node.pod()
      firewall.as(implementation, { name: "open", ingressPolicy: "open" }).allow(pod, OTHERS)
      if (implementation === "reference") {
        const { error } = firewall.as("ours").tell("CHECK", pod, OTHERS)
        expect(error?.msg).toContain("the ingress policy has no effect")
      }
      return saved(node).flatMap((line) => /^iptables .*-A FORWARD .* -j (\S+)/.exec(line)?.[1] ?? [])
    }
    expect(forward("reference")).toEqual(["CNI-FORWARD", "CNI-ISOLATION-STAGE-1"])
    expect(forward("ours")).toEqual(["CNI-ISOLATION-STAGE-1", "CNI-FORWARD"])
  })

  test("behind macvlan an ingressPolicy drops what goes to the node's own eth0", () => {
    const dropped = (implementation: Implementation) => {
      using node = new Node()
      const pod = node.pod()
      const prevResult = { ...resultOf(pod, ADDRESSES), interfaces: [{ name: "eth0", sandbox: pod.path }] }
      const firewall = new Firewall(node, { ingressPolicy: "isolated" }, implementation)
      const { error } = firewall.tell("ADD", pod, [], { config: { prevResult } })
      if (implementation === "ours")
        expect(error).toMatchObject({ code: 7, msg: expect.stringContaining("the pod's own") })
      return saved(node).some((line) => line.includes("-o eth0") && line.endsWith("-j DROP"))
    }
    expect([dropped("reference"), dropped("ours")]).toEqual([true, false])
  })
})

/** Of the Go plugin one or the other fails then, or makes a rule twice; which, is chance. */
test("ADDs at once, the node's first, all succeed, and each rule is there once", async () => {
  using node = new Node()
  const firewall = new Firewall(node, { ingressPolicy: "same-bridge" })
  const pods = Array.from({ length: 12 }, () => node.pod())
  const calls = pods.map((pod, at) => {
    const prevResult = resultOf(pod, [`10.1.0.${at + 2}/24`, `fd00::${at + 2}/64`])
    return node.callAsync("firewall", firewall.call("ADD", pod, { config: { prevResult } }))
  })
  for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject(QUIET)
  const lines = saved(node)
  expect(lines.filter((line, at) => lines.indexOf(line) !== at)).toEqual([])
  expect(lines.filter((line) => line.endsWith("-j ACCEPT"))).toHaveLength(48)
})

describe("DEL succeeds", () => {
  test.each<[string, (node: Node) => void]>([
    ["of a pod that was never added", () => {}],
    ["if chain CNI-FORWARD is empty", (node) => iptables(node, "iptables -F CNI-FORWARD")],
    ["if the chains are gone", (node) => iptables(node, "iptables -F", "iptables -X", "ip6tables -F", "ip6tables -X")],
    ["if a table is gone", (node) => iptables(node, "nft delete table ip6 filter")],
    ["if the ruleset is gone", (node) => iptables(node, "nft flush ruleset")],
  ])("%s", (what, damage) => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node)
    if (!what.startsWith("of")) firewall.allow(pod)
    damage(node)
    expect(firewall.forget(pod)).toMatchObject(QUIET)
    expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
    expect(rulesFor(node)).toEqual([])
  })

  test("with a previous result that cannot be read", () => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node)
    firewall.allow(pod)
    const config = { prevResult: { cniVersion: "1.1.0", ips: [{ address: "no address" }] } }
    expect(firewall.ask("DEL", pod, { config })).toMatchObject(QUIET)
    expect(rulesFor(node)).toEqual([])
  })

  test("for rules that lost their note, as by iptables-restore, with the previous result", () => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node)
    firewall.allow(pod)
    iptables(node, "iptables-save | iptables-restore", "ip6tables-save | ip6tables-restore")
    expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
    expect(firewall.tell("DEL", pod)).toMatchObject(QUIET)
    expect(rulesFor(node)).toEqual([])
  })
})

describe("after", () => {
  test.each([
    "iptables -F FORWARD",
    "iptables -F CNI-FORWARD",
    "iptables -F CNI-ISOLATION-STAGE-1",
    "iptables -F CNI-ISOLATION-STAGE-2",
    "iptables -F",
    "iptables -F; iptables -X",
    "nft delete table ip filter",
    "nft flush ruleset",
  ])("%s CHECK names what is missing, and an ADD of the pod brings all of it back once", (command) => {
    using node = new Node()
    const pod = node.pod()
    const firewall = new Firewall(node, { ingressPolicy: "same-bridge" })
    firewall.allow(pod)
    const before = saved(node)
    iptables(node, command)
    expect(firewall.tell("CHECK", pod).error).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/^there is no rule -A/),
    })
    firewall.allow(pod)
    expect(saved(node).sort()).toEqual(before.sort())
    expect(firewall.tell("CHECK", pod)).toMatchObject(QUIET)
  })
})

describe("GC", () => {
  test("removes the rules of the network's pods that are gone, says so, and leaves those of others", () => {
    using node = new Node()
    const [gone, alive, other, foreign] = [node.pod(), node.pod(), node.pod(), node.pod()]
    const firewall = new Firewall(node)
    firewall.allow(gone)
    firewall.allow(alive, OTHERS)
    firewall.as("ours", { name: "other" }).allow(other, ["10.1.0.4/24"])
    firewall.as("reference").allow(foreign, ["10.1.0.5/24"])
    const { exitCode, stderr } = firewall.gc([alive])
    expect(exitCode).toBe(0)
    expect(stderr).toContain("removed -A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT in table ip filter")
    expect(rulesFor(node)).toEqual([])
    expect(rulesFor(node, [...OTHERS, "10.1.0.4/24", "10.1.0.5/24"])).toHaveLength(8)
    expect(firewall.gc([alive])).toMatchObject(QUIET)
  })

  test("without a list removes those alone whose address is in no network namespace", () => {
    using node = new Node()
    const [gone, alive] = [node.pod(), node.pod()]
    const firewall = new Firewall(node)
    firewall.allow(gone, ["172.29.83.2/24"])
    firewall.allow(alive, ["172.29.83.3/24"])
    alive.ip("addr", "add", "172.29.83.3/24", "dev", "lo")
    expect(firewall.ask("GC", undefined)).toMatchObject({ exitCode: 0 })
    expect([rulesFor(node, ["172.29.83.2/24"]).length, rulesFor(node, ["172.29.83.3/24"]).length]).toEqual([0, 2])
  })
})

test("an ADD that fails for one family changes nothing in the other", () => {
  using node = new Node()
  const pod = node.pod()
  iptables(node, "nft 'add table ip6 filter; add chain ip6 filter FORWARD { type filter hook input priority 0; }'")
  const before = ruleset(node)
  expect(new Firewall(node).tell("ADD", pod)).toMatchObject({ exitCode: 1 })
  expect(ruleset(node)).toBe(before)
})
