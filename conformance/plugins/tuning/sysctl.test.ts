import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, type Outcome, outcome, stdin } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"
import type { Config, Network } from "../bridge/network.ts"
import { prepare, SYSCTL, tuning } from "./network.ts"

const QUIET = { exitCode: 0, stderr: "" }

describe("a sysctl that is none of the pod's network is refused, naming it, and nothing is changed:", () => {
  test.each([
    "kernel.hostname",
    "kernel/hostname",
    "net/../kernel/hostname",
    "net..kernel.hostname",
    "net/ipv4/../../kernel/hostname",
    "/net/ipv4/ip_forward",
    "net/ipv4/conf/IFNAME.arp_filter",
    "net",
    "",
  ])("%j", (key) => {
    using node = new Node()
    const pod = node.pod()
    const told = prepare(node, pod)
    const before = snapshot(node)
    for (const sysctl of [{ [key]: "1" }, { [SYSCTL]: "1", [key]: "1" }]) {
      const { error } = tuning(node, { sysctl }).add(pod, { config: told })
      expect(error).toMatchObject({ code: 7, msg: expect.stringContaining(`sysctl.${key}: invalid net sysctl key`) })
    }
    expect(snapshot(node)).toEqual(before)
  })
})

test.each([
  [{ "net.ipv4.no_such_setting": "1" }, "sysctl.net.ipv4.no_such_setting: the pod has no such setting"],
  [{ "net.ipv4": "1" }, "sysctl.net.ipv4: the pod has no such setting"],
  [{ [SYSCTL]: "x" }, `sysctl.${SYSCTL}: the kernel refuses the value "x"`],
])(
  "what the kernel has not, or will not have, is refused naming the key, and what was set is set back: %j",
  (bad, msg) => {
    using node = new Node()
    const pod = node.pod()
    const told = prepare(node, pod)
    const before = snapshot(node)
    const sysctl = { "net.ipv4.conf.all.log_martians": "1", ...bad }
    const { error } = tuning(node, { sysctl, mtu: 1300 }).add(pod, { config: told })
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining(msg) })
    expect(snapshot(node)).toEqual(before)
  },
)

test("a setting longer than a page of memory is set and checked", () => {
  using node = new Node()
  const pod = node.pod()
  const ports = Array.from({ length: 1500 }, (_, at) => 2 * at + 10_001).join(",")
  const network = tuning(node, { sysctl: { "net.ipv4.ip_local_reserved_ports": ports } })
  const added = network.add(pod, { config: prepare(node, pod) })
  expect(added).toMatchObject(QUIET)
  expect(pod.run("cat", "/proc/sys/net/ipv4/ip_local_reserved_ports").stdout.trim()).toBe(ports)
  expect(network.ask("CHECK", pod, { config: { prevResult: added.result } })).toMatchObject(QUIET)
})

test("a key that is there twice is refused, as by the reference", () => {
  using node = new Node()
  const pod = node.pod()
  const { prevResult } = prepare(node, pod)
  const text = JSON.stringify({ ...tuning(node).config, prevResult, sysctl: { X: "0", Y: "1" } })
  const twice = text.replace('"X"', `"${SYSCTL}"`).replace('"Y"', `"${SYSCTL}"`)
  for (const implementation of ["ours", "reference"] as const) {
    const { error } = node.call("tuning", { command: "ADD", netns: pod, stdin: twice, implementation })
    expect(error?.msg).toContain("duplicated sysctl keys are not allowed")
  }
})

test("IFNAME stands for the interface also if its name has a dot", () => {
  using node = new Node()
  const pod = node.pod()
  const { prevResult } = prepare(node, pod)
  pod.ip("link", "set", "eth0", "down")
  pod.ip("link", "set", "eth0", "name", "eth0.100")
  const network = tuning(node, { sysctl: { [SYSCTL]: "1" }, prevResult })
  expect(network.add(pod, { ifname: "eth0.100" })).toMatchObject(QUIET)
  expect(pod.sysctl("net/ipv4/conf/eth0.100/arp_filter")).toBe("1")
  expect(pod.sysctl("net/ipv4/conf/all/arp_filter")).toBe("0")
})

test("the node's own settings stay as they are", () => {
  using node = new Node()
  const pod = node.pod()
  const told = prepare(node, pod)
  const sysctl = { "net.ipv4.ip_forward": "1", "net.ipv4.conf.all.log_martians": "1" }
  expect(tuning(node, { sysctl }).add(pod, { config: told })).toMatchObject(QUIET)
  const [ofPod, ofNode] = [pod, node].map((one) =>
    Object.keys(sysctl).map((key) => one.sysctl(key.replaceAll(".", "/"))),
  )
  expect([ofPod, ofNode]).toEqual([
    ["1", "1"],
    ["0", "0"],
  ])
})

test("CHECK passes a setting of several numbers however they are separated (the reference's fails)", () => {
  using node = new Node()
  const pod = node.pod()
  const told = prepare(node, pod)
  const network = tuning(node, { sysctl: { "net.ipv4.ping_group_range": "100 200" } })
  expect(network.add(pod, { config: told })).toMatchObject(QUIET)
  expect(network.check(pod, told.prevResult)).toMatchObject(QUIET)
  expect(network.as("reference").check(pod, told.prevResult).exitCode).toBe(1)
})

test("sysctls of args are set also if the network has none (the reference crashes)", () => {
  using node = new Node()
  const pod = node.pod()
  const told = prepare(node, pod)
  const network = tuning(node, { args: { cni: { sysctl: { [SYSCTL]: "1" } } } })
  expect(network.as("reference").add(pod, { config: told }).exitCode).not.toBe(0)
  expect(network.add(pod, { config: told })).toMatchObject(QUIET)
  expect(pod.sysctl("net/ipv4/conf/eth0/arp_filter")).toBe("1")
})

describe("the node's allow list", () => {
  const LISTS: Readonly<Record<string, [list: string, allowed: boolean]>> = {
    "no line": ["", false],
    "another key": ["^net\\.ipv4\\.ip_forward$\n", false],
    "an expression, behind an empty line and spaces": ["\n  ^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$  \n", true],
    "a part of the key": ["IFNAME", true],
    "the key as it is once IFNAME is the interface": ["^net\\.ipv4\\.conf\\.eth0\\.arp_filter$", false],
  }

  test.each(Object.entries(LISTS))("of %s lets the same pass as the reference", (_, [list, allowed]) => {
    for (const implementation of ["ours", "reference"] as const) {
      using node = new Node()
      const pod = node.pod()
      const { prevResult } = prepare(node, pod)
      const network = tuning(node, { sysctl: { [SYSCTL]: "1" }, prevResult }, implementation)
      const { exitCode, error } = askListed(network, pod, list)
      expect(exitCode).toBe(allowed ? 0 : 1)
      if (!allowed) expect(error?.msg).toContain(`Sysctl ${SYSCTL} is not allowed`)
      expect(pod.sysctl("net/ipv4/conf/eth0/arp_filter")).toBe(allowed ? "1" : "0")
    }
  })

  test("does not matter without sysctls, nor to CHECK and DEL; STATUS says what is not on it", () => {
    using node = new Node()
    const pod = node.pod()
    const { prevResult } = prepare(node, pod)
    expect(askListed(tuning(node, { mtu: 1300, prevResult }), pod, "")).toMatchObject(QUIET)
    const network = tuning(node, { sysctl: { [SYSCTL]: "0" }, prevResult })
    for (const command of ["CHECK", "DEL"]) expect(askListed(network, pod, "", command)).toMatchObject(QUIET)
    expect(askListed(network, pod, "", "STATUS").error).toMatchObject({ code: 50 })
  })

  test.each(["(?i)net", "\\Anet", "[[:alpha:]]+", "("])(
    "with %s, which cannot be read, allows nothing and says so",
    (line) => {
      using node = new Node()
      const pod = node.pod()
      const { prevResult } = prepare(node, pod)
      const { error } = askListed(tuning(node, { sysctl: { [SYSCTL]: "1" }, prevResult }), pod, line)
      expect(error).toMatchObject({ code: 101, msg: expect.stringContaining(JSON.stringify(line)) })
      expect(pod.sysctl("net/ipv4/conf/eth0/arp_filter")).toBe("0")
    },
  )
})

/** Calls the plugin on a machine whose /etc has nothing but this allow list. */
function askListed({ node, config, implementation }: Network, netns: Pod, list: string, command = "ADD"): Outcome {
  const script =
    'mount -t tmpfs tmpfs /etc && mkdir -p /etc/cni/tuning && printf %s "$0" >/etc/cni/tuning/allowlist.conf && exec "$@"'
  const program = join(binDirectory(implementation as Implementation), "tuning")
  const argv = node.inside(["unshare", "-m", "sh", "-c", script, list, program])
  const call = { command, netns, config: config as Config }
  return outcome(run(argv, { env: environment(call), stdin: stdin(call) }))
}
