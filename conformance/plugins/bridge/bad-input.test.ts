import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { environment, outcome, stdin } from "../../lab/call.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output, run } from "../../lab/run.ts"
import { addReadOnly, type Config, hostLocal, type More, Network, settled } from "./network.ts"

const node = new Node()
const network = new Network(node, { isGateway: true, ipam: hostLocal(node) })
const [inhabited, pod] = [node.pod(), node.pod()]
let before: ReturnType<typeof settled>

beforeAll(() => {
  network.connect(inhabited)
  output(node.inside(["ip", "link", "add", "uplink", "type", "veth", "peer", "far"]))
  writeFileSync(join(node.dir, "file"), "")
  output(["mkfifo", join(node.dir, "pipe")])
  before = settled(node)
})
afterAll(() => node[Symbol.dispose]())

/** One error document, its code and what it names, exit code 1, and the node exactly as it was. */
function expectRefused(outcome: ReturnType<Network["add"]>, code: number, ...words: string[]): void {
  expect(outcome).toMatchObject({ exitCode: 1, stderr: "", error: { cniVersion: "1.1.0", code } })
  const said = `${outcome.error?.msg}\n${outcome.error?.details ?? ""}`
  for (const word of words) expect(said).toContain(word)
  expect(settled(node)).toEqual(before)
}

describe("a netns path that is", () => {
  const paths: [string, (pod: Pod) => string, string][] = [
    ["missing", () => "/run/netns/cnits-missing", "the pod's sandbox is gone"],
    ["a plain file", () => join(node.dir, "file"), "must be the path of a network namespace"],
    ["a directory", () => node.dir, "must be the path of a network namespace"],
    ["a device", () => "/dev/null", "must be the path of a network namespace"],
    ["a named pipe", () => join(node.dir, "pipe"), "must be the path of a network namespace"],
    ["below a plain file", () => join(node.dir, "file/netns"), "CNI_NETNS"],
    ["another kind of namespace", () => "/proc/self/ns/mnt", "must be the path of a network namespace"],
    ["the plugin's own", () => node.path, "should not be the same"],
    ["the plugin's own, by /proc", () => "/proc/self/ns/net", "should not be the same"],
  ]

  test.each(paths)("%s is refused by ADD before anything is done", (_, path, word) => {
    expectRefused(network.ask("ADD", path(pod), { containerId: "c" }), 8, path(pod), word)
  })

  test.each(paths.slice(0, 7))("%s is refused by CHECK", (_, path, word) => {
    expectRefused(network.ask("CHECK", path(pod), { containerId: "c" }), 8, path(pod), word)
  })

  test("the plugin's own is refused by DEL", () => {
    expectRefused(network.ask("DEL", node.path, { containerId: inhabited.containerId }), 8, node.path)
  })
})

describe("a netns path that cannot be opened, for it fails with", () => {
  const errnos = [
    ["EMFILE", "ulimit -n"],
    ["ENFILE", "fs.file-max"],
    ["EACCES", "AppArmor or SELinux"],
    ["EPERM", "as root"],
    ["ENOMEM", "free memory"],
  ]

  test.each(errnos)("%s, is refused by ADD, which says what to do: %s", (errno, words) => {
    const call = { command: "ADD", netns: pod, config: network.config }
    const open = ["-e", "trace=open,openat", "-e", `inject=open,openat:error=${errno}`, "-P", pod.path]
    const argv = node.inside(["strace", "-qq", "-o", "/dev/null", ...open, `${binDirectory()}/bridge`])
    expectRefused(outcome(run(argv, { env: environment(call), stdin: stdin(call) })), 101, pod.path, errno, words)
  })
})

describe("ADD is refused", () => {
  const cases: [string, More, number, ...string[]][] = [
    [
      "for a bridge that is a veth",
      { config: { bridge: "uplink" } },
      102,
      '"uplink" already exists but is not a bridge',
    ],
    ["for a bridge that is lo", { config: { bridge: "lo" } }, 102, '"lo" already exists but is not a bridge'],
    ["for a bridge called default", { config: { bridge: "default" } }, 7, "no interface can be called default"],
    [
      "for a rangeStart of the other family",
      ipam({ type: "host-local", ranges: [[{ subnet: "10.9.0.0/24", rangeStart: "fd00::1" }]] }),
      7,
      "ipam.ranges[0][0].rangeStart",
      "it is an IPv6 address, the subnet is of IPv4",
    ],
    ["for an interface that exists", { ifname: "lo" }, 102, 'interface "lo" already exists in the pod'],
    ["for an ipam.type that is a path", ipam({ type: "../bin/host-local" }), 7, "../bin/host-local"],
    ["for an absolute ipam.type", ipam({ type: "/bin/true" }), 7, "/bin/true"],
    ["for an ipam.type with a NUL", ipam({ type: "host\0local" }), 7, "invalid plugin name"],
    [
      "for an ipam.type that is not installed",
      ipam({ type: "dhcp" }),
      7,
      'failed to find plugin "dhcp" in path',
      "CNI_PATH",
    ],
    ["for an ipam.type that is itself", ipam({ type: "bridge" }), 7, "ipam.type: bridge gives no addresses"],
    [
      "for an ipam.type that gives no addresses",
      ipam({ type: "loopback" }),
      7,
      "ipam.type: loopback gives no addresses",
    ],
    [
      "for an ipam.type that is a directory",
      { ...ipam({ type: "bin" }), path: "/usr" },
      7,
      'failed to find plugin "bin"',
    ],
    ["for an ipam that is a word", { config: { ipam: "host-local" } }, 6, "ipam: expected an object"],
    ["for an absurd mtu", { config: { mtu: 4_000_000_000 } }, 7, "mtu: 4000000000 is not between 68 and 65535"],
    ["for an mtu the kernel has no room for", { config: { mtu: 65_536 } }, 7, "mtu: 65536 is not between 68 and 65535"],
    ["for an mtu too small for IPv4", { config: { mtu: 67 } }, 7, "mtu: 67 is not between 68 and 65535"],
    [
      "for a MAC address that is multicast",
      { config: { runtimeConfig: { mac: "01:00:5e:00:00:01" } } },
      7,
      "runtimeConfig.mac",
    ],
    ["for a MAC address of zeros", { config: { runtimeConfig: { mac: "00:00:00:00:00:00" } } }, 7, "runtimeConfig.mac"],
    ["for a MAC address of eight bytes", { config: { runtimeConfig: { mac: "02:00:00:00:00:00:00:01" } } }, 7, "mac"],
    [
      "for a range with no address left",
      ipam({ ...hostLocal(node, ["10.244.1.2/32"]), name: "net" }),
      7,
      "10.244.1.2/32",
    ],
    ["for a dataDir that is a file", ipam({ ...hostLocal(node), dataDir: join(node.dir, "file") }), 101, "file"],
  ]

  test.each(cases)("%s", (_, more, code, ...words) => {
    expectRefused(network.add(pod, more), code, ...words)
  })

  const names = [
    "a/b",
    "../cni0",
    ".",
    "..",
    "br 0",
    "br\t0",
    "br:0",
    "br\n0",
    "sixteen-letters-",
    "brücke-brücke1",
    "br%d",
    "br\u00000",
  ]
  test.each(names)("for a bridge called %j", (bridge) => {
    expectRefused(network.add(pod, { config: { bridge } }), 7, "bridge: interface name", JSON.stringify(bridge))
  })

  test("for a data directory that cannot be written to", () => {
    const fresh = network.as("ours", {
      name: "fresh",
      ipam: { ...hostLocal(node), dataDir: join(node.dir, "var-lib") },
    })
    expectRefused(addReadOnly(fresh, pod, join(node.dir, "var-lib")), 101, join(node.dir, "var-lib"), "read-only")
  })
})

test.each(["all", "default"])(
  "an interface called %s is refused by ADD in words, and DEL lets the pod go",
  (ifname) => {
    expect(network.add(pod, { ifname }).error).toEqual({
      code: 4,
      msg: `invalid CNI_IFNAME: no interface can be called ${ifname}: the kernel's settings for all are`,
      details: `"${ifname}": the runtime has to ask for another name, such as eth0`,
    })
    expect(network.del(pod, { ifname })).toMatchObject({ exitCode: 0, stdout: "" })
    expect(settled(node)).toEqual(before)
  },
)

test("an exhausted range is refused in the words of host-local", () => {
  const tiny = network.as("ours", { name: "tiny", bridge: "cni1", ipam: hostLocal(node, ["10.9.0.0/30"]) })
  const first = node.pod()
  tiny.connect(first)
  const old = settled(node)
  const { exitCode, error } = tiny.add(pod)
  expect({ exitCode, code: error?.code }).toEqual({ exitCode: 1, code: 103 })
  expect(error?.msg).toContain("no IP addresses available in range set: 10.9.0.1-10.9.0.2")
  expect(settled(node)).toEqual(old)
  tiny.del(first)
})

test.each(["br..0", "-br0", "ü", "br$(id)", "`id`", "*"])(
  "a bridge called %j is made and used as any other",
  (bridge) => {
    using fresh = new Node()
    const odd = new Network(fresh, { bridge, isGateway: true, ipam: hostLocal(fresh) })
    const netns = fresh.pod()
    const { interfaces } = odd.connect(netns)
    expect(interfaces?.[0]?.name).toBe(bridge)
    expect(fresh.link(bridge)?.linkinfo?.info_kind).toBe("bridge")
    expect(netns.pings("10.244.1.1")).toBe(true)
    expect(odd.del(netns).exitCode).toBe(0)
  },
)

test.each(["eth..0", "-eth0", "ü", "$(id)", "*"])(
  "an interface called %j is made and removed as any other",
  (ifname) => {
    using fresh = new Node()
    const plain = new Network(fresh)
    const netns = fresh.pod()
    expect(plain.connect(netns, { ifname }).interfaces?.[2]?.name).toBe(ifname)
    expect(netns.link(ifname)?.linkinfo?.info_kind).toBe("veth")
    expect(plain.del(netns, { ifname }).exitCode).toBe(0)
    expect(netns.ip("link", "show")).toHaveLength(1)
  },
)

function ipam(config: Config): More {
  return { config: { ipam: config } }
}
