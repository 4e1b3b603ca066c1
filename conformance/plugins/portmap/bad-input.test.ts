import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, outcome, stdin } from "../../lab/call.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"
import { type Config, type Mapping, nft, Portmap, resultOf, ruleset, tcp } from "./network.ts"

const V4 = ["10.1.0.2/24"]

describe("is refused by ADD, the ruleset staying as it was:", () => {
  const using1 = (mapping: object): readonly Mapping[] => [tcp(8080), { ...tcp(8081), ...mapping }]

  test.each<[string, readonly Mapping[], Config, readonly string[], number, string]>([
    ["port 0", using1({ hostPort: 0 }), {}, V4, 7, "Invalid host port number: 0"],
    ["port 65536", using1({ hostPort: 65536 }), {}, V4, 7, "Invalid host port number: 65536"],
    ["port -1", using1({ containerPort: -1 }), {}, V4, 7, "Invalid container port number: -1"],
    ["an unknown protocol", using1({ protocol: "icmp" }), {}, V4, 7, "icmp"],
    ["a hostIP that is no address", using1({ hostIP: "node1" }), {}, V4, 7, "node1"],
    ["no hostIP but of the other family", [tcp(8080, 80, "fd00::1")], {}, V4, 7, "no IPv6 address"],
    ["a protocol by its number", using1({ protocol: "6" }), {}, V4, 7, 'unknown protocol "6"'],
    ["a container without any address", [tcp(8080)], {}, [], 7, "no IP address"],
    ["no prevResult", [tcp(8080)], { prevResult: null }, V4, 7, "must be called as chained plugin"],
    ["an unknown backend", [tcp(8080)], { backend: "ipvs" }, V4, 7, "unrecognized backend"],
    ["externalSetMarkChain", [tcp(8080)], { externalSetMarkChain: "X" }, V4, 7, "[externalSetMarkChain]"],
    ["iptables conditions", [tcp(8080)], { conditionsV4: ["-s", "10.0.0.1"] }, V4, 7, "[conditionsV4]"],
    [
      "conditions that rules of iptables here cannot say",
      [tcp(8080)],
      { backend: "iptables", conditionsV4: ["-o", "eth0"] },
      V4,
      7,
      'cannot use "-o"',
    ],
    ["dccp by iptables", [{ ...tcp(8080), protocol: "dccp" }], { backend: "iptables" }, V4, 2, "dccp"],
    [
      "conditions with more than conditions",
      [tcp(8080)],
      { conditionsV4: ["ip saddr 10.0.0.1; drop"] },
      V4,
      7,
      'cannot use "10.0.0.1;"',
    ],
    ["a mark beyond 31", [tcp(8080)], { markMasqBit: 32 }, V4, 7, "MasqMarkBit must be between 0 and 31"],
  ])("%s", (_, ports, config, addresses, code, problem) => {
    using node = new Node()
    const portmap = new Portmap(node)
    const [pod, other] = [node.pod(), node.pod()]
    portmap.map(other, [tcp(9090)], ["10.1.0.9/24"])
    const before = snapshot(node)
    const { error } = portmap.add(pod, ports, addresses, { config })
    expect(error).toMatchObject({ code, msg: expect.stringContaining(problem) })
    expect(snapshot(node)).toEqual(before)
    expect(portmap.del(pod, { ports, config })).toMatchObject({ exitCode: 0 })
    expect(snapshot(node)).toEqual(before)
  })
})

describe("a table of the name that is another program's", () => {
  const FOREIGN: Readonly<Record<string, string>> = {
    "a base chain of another type": "chain prerouting {\n type filter hook prerouting priority -100\n}",
    "a base chain of another priority": "chain prerouting {\n type nat hook prerouting priority 7\n}",
    "a base chain at another hook": "chain masquerading {\n type nat hook input priority 100\n}",
    "a base chain that should be none": "chain hostports {\n type filter hook input priority 0\n}",
    "a plain chain that should be a base chain": "chain output {\n}",
    "a set of another type": "set claims {\n type ipv4_addr\n}",
  }

  test.each(Object.entries(FOREIGN))("with %s is left alone, and ADD says so", (_, content) => {
    using node = new Node()
    nft(node, `table ip cni_hostport {\n${content}\n}`)
    const before = ruleset(node, { sets: true })
    const pod = node.pod()
    const { error } = new Portmap(node).add(pod, [tcp(8080)], [...V4, "fd00::2/64"])
    expect(error?.code).toBe(102)
    expect(error?.msg).toContain("table ip cni_hostport")
    expect(new Portmap(node).del(pod)).toMatchObject({ exitCode: 0 })
    expect(ruleset(node, { sets: true })).toEqual(before)
  })
})

test("where 127.0.0.1 cannot be opened no rule is made", () => {
  using node = new Node()
  const pod = node.pod()
  node.ip("link", "add", "br0", "type", "bridge")
  node.ip("link", "set", "br0", "up")
  node.ip("addr", "add", "10.1.0.1/24", "dev", "br0")
  node.ip("link", "add", "veth0", "master", "br0", "type", "veth", "peer", "name", "eth0", "netns", pod.name)
  const before = snapshot(node)
  const call = new Portmap(node).call("ADD", pod, { ports: [tcp(8080)], config: { prevResult: resultOf(pod, V4) } })
  const readOnly = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec $0"
  const argv = node.inside(["unshare", "-m", "sh", "-c", readOnly, join(binDirectory(), "portmap")])
  const { exitCode, error } = outcome(run(argv, { env: environment(call), stdin: stdin(call) }))
  expect([exitCode, error?.code, error?.msg.includes("route_localnet")], error?.msg).toEqual([1, 101, true])
  expect(snapshot(node)).toEqual(before)
})
