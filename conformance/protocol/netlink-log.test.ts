import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { type Call, environment, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node } from "../lab/node.ts"
import { output, run } from "../lab/run.ts"
import { parseTrace } from "../lab/strace.ts"
import { DUAL, hostLocal, Network } from "../plugins/bridge/network.ts"
import { nft, Portmap, tcp } from "../plugins/portmap/network.ts"

// biome-ignore lint/suspicious/noExplicitAny: the tests know the shape of what is logged
type Logged = any

/** The netlink messages in a log, in their order. */
function messagesIn(file: string): Logged[] {
  return toldIn(file).filter(({ family }) => family !== "sysctl")
}

/** The messages, and the sysctls that were set. */
function toldIn(file: string): Logged[] {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n")
  return lines.map((line) => JSON.parse(line)).flatMap(({ netlink }) => netlink ?? [])
}

/** Calls a plugin under strace, which decodes netlink by itself. */
function observed(node: Node, plugin: string, call: Call) {
  const file = join(node.dir, "strace.out")
  const strace = ["strace", "-f", "-qq", "-v", "-s", "40000", "-o", file, "-e", "trace=sendto,recvfrom"]
  const argv = node.inside([...strace, join(binDirectory(), plugin)])
  const finished = outcome(run(argv, { env: environment(call), stdin: stdin(call) }))
  const { calls } = parseTrace(file)
  return { outcome: finished, messages: calls.flatMap(({ name, args }) => seen(name, args)) }
}

interface Seen {
  readonly direction: string
  /** Empty if strace does not know it: it learns a socket's protocol late. */
  readonly type: string
  readonly flags: readonly string[]
  readonly seq: number
  /** The names of attributes, also of nested ones, that strace knows. */
  readonly attributes: readonly string[]
}

/** The messages of a datagram; not those that an error quotes. */
function seen(call: string, args: string): Seen[] {
  const starts = [
    ...args.matchAll(/(?<!msg=)\{nlmsg_len=\d+, nlmsg_type=([^,]+), nlmsg_flags=([^,]+), nlmsg_seq=(\d+)/g),
  ]
  return starts.map(({ 1: type = "", 2: flags = "", 3: seq, index }, at) => {
    const body = args.slice(index, starts[at + 1]?.index)
    return {
      direction: call === "sendto" ? "sent" : "received",
      type: type.startsWith("0x") ? "" : type.replace(/^.*<<8\|/, ""),
      flags: flags.split("|").map((flag) => flag.replace("NLM_F_", "")),
      seq: Number(seq),
      attributes: [...body.matchAll(/nla_type=(?:NLA_F_NESTED\|)?([A-Z][A-Z0-9_]*)\}/g)].map(([, name = ""]) => name),
    }
  })
}

/** The kernel's names in a logged message, the outer before the inner. */
function namesIn(value: Logged): string[] {
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => [...(/^[A-Z]+_/.test(name) ? [name] : []), ...namesIn(inner)])
}

function expectSame(logged: Logged[], messages: readonly Seen[]): void {
  const brief = ({ direction, seq }: Logged) => ({ direction, seq })
  expect(logged.map(brief)).toEqual(messages.map(brief))
  for (const [at, { type, flags, attributes }] of messages.entries()) {
    const message = logged[at]
    if (type === "") continue
    expect(message.type).toBe(type)
    if (message.flags.length > 0) expect([...message.flags].sort()).toEqual([...flags].sort())
    if (message.direction === "sent")
      expect(namesIn(message.attributes)).toEqual(expect.arrayContaining([...attributes]))
  }
}

const logTo = (file: string) => ({ CNI_TS_LOG: file, CNI_TS_NETLINK: "1" })

describe("with CNI_TS_NETLINK=1 the log has every netlink message", () => {
  test("of bridge's and portmap's ADD, as strace sees them, and stdout the result alone", () => {
    using node = new Node()
    const pod = node.pod()
    const network = new Network(node, { isGateway: true, ipMasq: true, mtu: 1400, ipam: hostLocal(node, DUAL) })
    const [bridgeLog, portmapLog] = [join(node.dir, "bridge.log"), join(node.dir, "portmap.log")]
    const add = { command: "ADD", netns: pod, config: network.config, env: logTo(bridgeLog) }
    const bridge = observed(node, "bridge", add)
    expect(bridge.outcome).toMatchObject({ exitCode: 0, stderr: "", result: { ips: [{}, {}] } })
    expect(JSON.parse(bridge.outcome.stdout)).toEqual(bridge.outcome.result)

    const logged = messagesIn(bridgeLog)
    expect(logged.length).toBeGreaterThan(30)
    expectSame(logged, bridge.messages)
    const sent = (type: string) => logged.filter((message) => message.direction === "sent" && message.type === type)
    const { address: mac, mtu } = node.link("cni0") ?? {}
    expect(sent("RTM_NEWLINK")).toContainEqual(
      expect.objectContaining({ attributes: expect.objectContaining({ IFLA_IFNAME: "cni0", IFLA_ADDRESS: mac }) }),
    )
    expect(mtu).toBe(1400)
    const sysctls = toldIn(bridgeLog).filter(({ family }) => family === "sysctl")
    expect(sysctls).toContainEqual(expect.objectContaining({ name: "net/ipv4/ip_forward", value: "1" }))
    for (const { netns, name, value } of sysctls) expect((netns ? pod : node).sysctl(name)).toBe(value)
    const given = sent("RTM_NEWADDR").filter(({ netns }) => netns === pod.path)
    const addresses = given.map(({ header, attributes }) => `${attributes.IFA_LOCAL}/${header.prefixlen}`)
    expect(pod.addresses("eth0")).toEqual(expect.arrayContaining(addresses))
    expect(addresses).toHaveLength(2)

    const portmap = new Portmap(node)
    const call = portmap.call("ADD", pod, { ports: [tcp(8080)], env: logTo(portmapLog) })
    const mapped = observed(node, "portmap", {
      ...call,
      config: { ...call.config, prevResult: bridge.outcome.result },
    })
    expect(mapped.outcome).toMatchObject({ exitCode: 0, stderr: "", result: bridge.outcome.result })
    const rules = messagesIn(portmapLog)
    expectSame(rules, mapped.messages)
    const appended = rules.filter(({ type }) => type === "NFT_MSG_NEWRULE").length
    const { nftables } = JSON.parse(output(node.inside(["nft", "-j", "list", "ruleset"])))
    const ofPortmap = nftables.filter(({ rule }: Logged) => rule?.table === "cni_hostport")
    expect(appended).toBe(ofPortmap.length)
  })

  test("and each line says whose call it was", () => {
    using node = new Node()
    const [file, pod] = [join(node.dir, "log"), node.pod()]
    const env = { ...logTo(file), TRACEPARENT: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }
    new Network(node, { ipam: hostLocal(node) }).ask("ADD", pod, { env })
    const lines = readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
    const whose = { plugin: "bridge", verb: "ADD", network: "net", containerId: pod.containerId, ifname: "eth0" }
    for (const line of lines) expect(line).toMatchObject({ ...whose, traceId: "4bf92f3577b34da6a3ce929d0e0e4736" })
    expect(lines.filter(({ netlink }) => netlink === undefined)).toEqual([lines.at(-1)])
  })

  test("and the attribute that the kernel refuses, which the error names too", () => {
    using node = new Node()
    const file = join(node.dir, "log")
    nft(node, "table ip cni_hostport {\n set claims {\n type inet_proto . inet_service\n size 1\n }\n}")
    const { error } = new Portmap(node).add(node.pod(), [tcp(8080), tcp(8081)], ["10.1.0.2/24"], { env: logTo(file) })
    const refused = messagesIn(file).find((message) => message.error === "ENFILE")
    const attribute = refused.attribute ? `: ${refused.attribute}` : "" // older kernels point at none
    expect(error).toEqual({
      cniVersion: "1.1.0",
      code: 100,
      msg: `cannot add to set claims of table ip cni_hostport: ENFILE (too many open files in system)${attribute}`,
      details: "the kernel has no room for one more: remove what is not needed any more (GC does)",
    })
  })

  test("but without a place to log to nothing changes, except that stderr says so", () => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    const { result, stdout, stderr } = network.ask("ADD", node.pod(), { env: { CNI_TS_NETLINK: "1" } })
    expect(JSON.parse(stdout)).toEqual(result)
    expect(stderr).toBe("cni-ts bridge: CNI_TS_NETLINK is set, but neither CNI_TS_LOG nor cniTsLog says where to log\n")
  })

  test("but a log that cannot be written fails no call", () => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    const env = logTo(join(node.dir, "missing/log"))
    expect(network.ask("ADD", node.pod(), { env })).toMatchObject({ exitCode: 0, stderr: "" })
  })
})

test.each(["", "0"])("with CNI_TS_NETLINK=%j the log has one line for the call", (value) => {
  using node = new Node()
  const file = join(node.dir, "log")
  new Network(node).ask("ADD", node.pod(), { env: { CNI_TS_LOG: file, CNI_TS_NETLINK: value } })
  expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(1)
})
