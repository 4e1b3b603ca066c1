import { existsSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { type Call, environment, stdin } from "../../lab/call.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { nft, rules, ruleset } from "../../lab/ruleset.ts"
import { output, run, runAsync } from "../../lab/run.ts"
import { DUAL, hostLocal, Network, port } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "", stderr: "" }
const TABLE = "bridge nat"

const guarded = (node: Node) => new Network(node, { isGateway: true, macspoofchk: true, ipam: hostLocal(node, DUAL) })

/** Gives the pod's interface another MAC address, as a pod may that has CAP_NET_ADMIN. */
function spoof(pod: Pod): void {
  for (const change of ["down", "address 02:00:00:00:00:66", "up"]) {
    output(pod.inside(["ip", "link", "set", "eth0", ...change.split(" ")]))
  }
}

describe("a pod", () => {
  test("reaches others from its own MAC address and nobody from another's", () => {
    using node = new Node()
    const network = guarded(node)
    const [pod, other] = [node.pod(), node.pod()]
    for (const each of [pod, other]) network.connect(each)
    const reached = () => pod.reaches(["10.244.1.1", "10.244.1.3"])
    expect(reached()).toEqual([true, true])
    spoof(pod)
    expect(reached()).toEqual([false, false])
    expect(other.pings("10.244.1.1")).toBe(true)
  })

  test("without macspoofchk may have any", () => {
    using node = new Node()
    const network = guarded(node).as("ours", { macspoofchk: false })
    const pod = node.pod()
    network.connect(pod)
    spoof(pod)
    expect(pod.pings("10.244.1.1")).toBe(true)
  })
})

const HEARD = { sent: true, heard: true }
const UNHEARD = { sent: true, heard: false }

/** Lets a pod send from another's MAC address as fast as it can while `work` goes on. Returns if it did, and if the bridge heard it. */
async function spoofDuring(node: Node, pod: Pod, work: () => void): Promise<{ sent: boolean; heard: boolean }> {
  const flag = join(node.dir, "working")
  writeFileSync(flag, "")
  const behind = "add chain bridge watch heard { type filter hook prerouting priority -200; }"
  const count = "add rule bridge watch heard ether saddr 02:00:00:00:00:66 counter"
  nft(node, "add table bridge watch", behind, "flush chain bridge watch heard", count)
  const spoofer = runAsync(pod.inside(["sh", "-c", SPOOFER, flag]))
  output(["sleep", "0.3"])
  work()
  output(["sleep", "0.5"])
  rmSync(flag)
  await spoofer
  const heard = !output(node.inside(["nft", "list", "table", "bridge", "watch"])).includes("counter packets 0 ")
  const sent = existsSync(`${flag}.sent`)
  rmSync(`${flag}.sent`, { force: true })
  return { sent, heard }
}

/** Says nothing: nobody reads it while `work` goes on, and a write that waits for that would keep it from sending. */
const SPOOFER = `
exec > /dev/null 2>&1
while [ -e "$0" ]; do
  ip link set eth0 address 02:00:00:00:00:66 up || continue
  ip addr replace 10.244.1.99/24 dev eth0
  ip neigh replace 10.244.1.1 lladdr ff:ff:ff:ff:ff:ff nud permanent dev eth0
  ping -n -q -c 3 -i 0.01 -W 0.01 10.244.1.1
  : > "$0.sent"
done
true`

/** Calls bridge with time for others between all that it asks of the kernel. */
function slowly(network: Network, command: string, netns: Pod): number {
  const call: Call = { command, netns, config: network.config }
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=sendto:delay_exit=100000"]
  const program = join(binDirectory("ours"), "bridge")
  return run(network.node.inside([...strace, program]), { env: environment(call), stdin: stdin(call) }).exitCode
}

describe("a bridge never hears another's MAC address from a running pod (the reference's does)", () => {
  test.each([
    ["that is being connected", {}, 0],
    ["that fails to be connected", { ipam: { subnet: "10.9.0.0/24" } }, 1],
  ])("%s", async (_, { ipam }: { ipam?: object }, exitCode) => {
    using node = new Node()
    const network = guarded(node)
    network.connect(node.pod())
    const second = ipam ? network.as("ours", { ipam: hostLocal(node, ["10.9.0.0/24"]) }) : network
    const pod = node.pod()
    expect(await spoofDuring(node, pod, () => expect(slowly(second, "ADD", pod)).toBe(exitCode))).toEqual(UNHEARD)
    const plain = network.as("ours", { macspoofchk: false })
    const other = node.pod()
    expect(await spoofDuring(node, other, () => expect(slowly(plain, "ADD", other)).toBe(0))).toEqual(HEARD)
  })

  test("that is being disconnected", async () => {
    using node = new Node()
    const network = guarded(node)
    for (const pod of [node.pod(), node.pod()]) network.connect(pod)
    const [pod, other] = node.pods as [Pod, Pod]
    expect(await spoofDuring(node, pod, () => expect(slowly(network, "DEL", pod)).toBe(0))).toEqual(UNHEARD)
    expect(ruleset(node)).not.toContain(pod.containerId)
    nft(node, `flush chain ${TABLE} PREROUTING`)
    expect(await spoofDuring(node, other, () => expect(slowly(network, "DEL", other)).toBe(0))).toEqual(HEARD)
  })
})

test("ADD makes the rules that the reference makes, and DEL leaves what it leaves", () => {
  const made = (["ours", "reference"] as const).map((implementation) => {
    using node = new Node()
    const network = guarded(node).as(implementation, { runtimeConfig: { mac: "02:00:00:00:00:33" } })
    const pod = node.pod()
    expect(network.add(pod, { containerId: "one" }).exitCode).toBe(0)
    const added = ruleset(node).replaceAll(port(node).ifname, "VETH")
    expect(added.match(/ comment "macspoofchk-one-eth0"/g)).toHaveLength(4)
    expect(network.del(pod, { containerId: "one" })).toMatchObject(QUIET)
    return { added, deleted: ruleset(node) }
  })
  expect(made[0]).toEqual(made[1])
})

test("a network without IPAM has a guard too", () => {
  using node = new Node()
  const network = new Network(node, { macspoofchk: true })
  const pod = node.pod()
  const result = network.connect(pod)
  expect(network.check(pod, result)).toMatchObject(QUIET)
  expect(rules(node, TABLE, `cni-br-iface-${pod.containerId}-eth0-mac`)).toHaveLength(2)
  expect(network.del(pod)).toMatchObject(QUIET)
  expect(ruleset(node)).not.toContain(pod.containerId)
})

test.each([
  ["one's name begins with another's", "eth1", "eth10", ""],
  ["the container's id leaves the comment no room for them", "eth0", "net1", "c".repeat(128)],
])("a pod's interfaces are guarded each for itself, also where %s", (_, ifname, other, containerId) => {
  using node = new Node()
  const network = guarded(node)
  const pod = node.pod()
  const id = containerId || pod.containerId
  const result = network.connect(pod, { ifname, containerId: id })
  network.connect(pod, { ifname: other, containerId: id })
  expect(network.check(pod, result, { ifname, containerId: id })).toMatchObject(QUIET)
  expect(network.del(pod, { ifname: other, containerId: id })).toMatchObject(QUIET)
  expect(network.check(pod, result, { ifname, containerId: id })).toMatchObject(QUIET)
  expect(network.del(pod, { ifname, containerId: id })).toMatchObject(QUIET)
  expect(ruleset(node)).not.toContain(id)
})

describe("CHECK fails with code 104", () => {
  test.each<[string, (id: string) => string]>([
    ["without the rule for the interface", () => `flush chain ${TABLE} PREROUTING`],
    ["without the rule between the chains", (id) => `flush chain ${TABLE} cni-br-iface-${id}-eth0`],
    [
      "with another MAC address let through",
      (id) => `insert rule ${TABLE} cni-br-iface-${id}-eth0-mac ether saddr 02::1 accept`,
    ],
    ["without the last rule", (id) => `flush chain ${TABLE} cni-br-iface-${id}-eth0-mac`],
  ])("%s", (_, harm) => {
    using node = new Node()
    const network = guarded(node)
    const pod = node.pod()
    const result = network.connect(pod)
    expect(network.check(pod, result)).toMatchObject(QUIET)
    nft(node, harm(pod.containerId).replace("02::1", "02:00:00:00:00:66"))
    expect(network.check(pod, result).error).toMatchObject({ code: 104, msg: expect.stringContaining("guard") })
    expect(network.ask("DEL", "", { containerId: pod.containerId })).toMatchObject(QUIET)
    expect(ruleset(node)).not.toContain(pod.containerId)
  })
})

describe("DEL", () => {
  test("without namespace removes the guard, also when macspoofchk is not asked for any more (the reference leaves it)", () => {
    using node = new Node()
    const network = guarded(node)
    const pod = node.pod()
    network.connect(pod)
    expect(network.ask("DEL", "", { containerId: pod.containerId, config: { macspoofchk: false } })).toMatchObject(
      QUIET,
    )
    expect(ruleset(node)).not.toContain(pod.containerId)
  })

  test("of another network that failed to get the same interface leaves the guard of the first", () => {
    using node = new Node()
    const pod = node.pod()
    guarded(node).connect(pod)
    const before = ruleset(node)
    const second = new Network(node, { name: "second", macspoofchk: true })
    expect(second.add(pod).error?.code).toBe(102)
    expect(second.del(pod)).toMatchObject(QUIET)
    expect(ruleset(node)).toBe(before)
  })
})

test("GC removes the guards of the network's stale attachments and no others", () => {
  using node = new Node()
  const network = guarded(node)
  const [live, stale, theirs, other] = [node.pod(), node.pod(), node.pod(), node.pod()]
  for (const pod of [live, stale]) network.connect(pod)
  network.as("reference").connect(theirs)
  network.as("ours", { name: "net2", bridge: "cni1", ipam: hostLocal(node, ["10.9.0.0/16"]) }).connect(other)
  expect(network.gc([live])).toMatchObject({ exitCode: 0, stdout: "" })
  const left = [live, stale, theirs, other].map(({ containerId }) => ruleset(node).includes(containerId))
  expect(left).toEqual([true, false, true, true])
})

test("a PREROUTING chain at another hook is code 102, and left as it is", () => {
  using node = new Node()
  nft(node, `add table ${TABLE}`, `add chain ${TABLE} PREROUTING { type filter hook input priority 5; }`)
  const before = ruleset(node)
  expect(guarded(node).add(node.pod()).error).toMatchObject({
    code: 102,
    msg: expect.stringContaining("somebody else's"),
  })
  expect(ruleset(node)).toBe(before)
})
