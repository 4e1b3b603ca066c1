import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Result } from "../../lab/call.ts"
import { output } from "../../lab/run.ts"
import { type GuestResult, runInGuest, section } from "./guest.ts"

const PLUGINS = ["bridge", "host-local", "portmap", "bandwidth"]

/** One boot of Debian's arm64 kernel: every question is a section of the script. */
let guest: GuestResult
const directory = mkdtempSync(join(tmpdir(), "cnits-arm64-"))

beforeAll(async () => {
  // The first time, this compiles the engine, for longer than vitest lets a worker say nothing.
  await promisify(execFile)("npm", ["run", "--silent", "dist", directory])
  output(["sh", "-c", `tar -xzf ${directory}/cni-ts-*-arm64.tgz -C ${directory}`])
  const [title = ""] = readdirSync(directory).filter((name) => name.endsWith("arm64"))
  const files = Object.fromEntries(PLUGINS.map((name) => [`/opt/cni/bin/${name}`, join(directory, title, "bin", name)]))
  guest = await runInGuest({ architecture: "arm64", files, script, timeoutSeconds: 280 })
}, 600_000)

afterAll(() => rmSync(directory, { recursive: true }))

const text = (name: string) => section(guest, name).trim()
const json = (name: string) => JSON.parse(text(name))

/** The names that `ip -j link show type` lists: it has an empty object for each link of another type. */
function ifbs(name: string): string[] {
  return json(name).flatMap(({ ifname }: { ifname?: string }) => ifname ?? [])
}

/** The rules of an `nft -j list ruleset` whose text holds every one of those words. */
function rules(name: string, ...words: readonly string[]): object[] {
  const { nftables } = json(name) as { nftables: { rule?: object }[] }
  const found = nftables.flatMap(({ rule }) => (rule ? [rule] : []))
  return found.filter((rule) => words.every((word) => JSON.stringify(rule).includes(word)))
}

test("the script ran to its end on arm64", () => {
  expect([guest.exitCode, guest.stderr]).toEqual([0, ""])
  expect(text("machine")).toBe("aarch64")
})

test.each(PLUGINS)("%s answers VERSION", (plugin) => expect(json(`${plugin} VERSION`).cniVersion).toBe("1.1.0"))

describe("bridge with host-local", () => {
  const added: () => Result = () => json("bridge ADD one")

  test("gives each pod an address of both families and a port of the bridge", () => {
    expect(added().ips?.map(({ address }) => address)).toEqual(["10.9.0.2/24", "fd00:9::2/64"])
    expect(json("bridge ADD two").ips).toMatchObject([{ address: "10.9.0.3/24" }, { address: "fd00:9::3/64" }])
    expect(text("leases").split("\n")).toEqual(
      expect.arrayContaining(["10.9.0.2", "fd00:9::2", "10.9.0.3", "fd00:9::3"]),
    )
    const names = [added(), json("bridge ADD two")].map(({ interfaces }) => interfaces[1].name)
    expect(json("ports").map(({ ifname }: { ifname: string }) => ifname)).toEqual(names)
  })

  test("sets the pod's addresses and routes", () => {
    const [eth0] = json("addresses")
    expect(eth0.addr_info).toMatchObject([
      { local: "10.9.0.2", prefixlen: 24 },
      { local: "fd00:9::2", prefixlen: 64 },
      { scope: "link" },
    ])
    const gateways = json("routes").filter(({ dst }: { dst: string }) => dst === "default")
    expect(gateways).toMatchObject([{ gateway: "10.9.0.1" }, { gateway: "fd00:9::1" }])
  })

  test.each(["10.9.0.3", "fd00:9::3", "10.9.0.1", "fd00:9::1", "203.0.113.2", "fd00:113::2"])(
    "%s answers the pod's ping",
    (address) => expect(text(`ping ${address}`)).toContain("1 received"),
  )

  test("masquerades what leaves the network, to which nobody outside has a route", () => {
    for (const address of ["10.9.0.2", "fd00:9::2"]) expect(rules("ruleset", "masq_checks", address)).toHaveLength(1)
    expect(text("ping from outside")).toContain("0 received")
  })

  test.each(["10.9.0.3", "fd00:9::3"])("TCP from pod to pod, %s", (address) => {
    expect(json(`TCP to ${address}`)).toBeGreaterThan(BYTES / 10)
  })
})

describe("portmap", () => {
  test("leads the node's port to the pod's", () => {
    for (const address of ["10.9.0.2", "fd00:9::2"])
      expect(rules("ruleset", "dnat", address, "8080")).toEqual([
        expect.objectContaining({ chain: expect.any(String) }),
      ])
  })

  test.each([
    ["the node itself, by IPv4", "node 203.0.113.1"],
    ["the node itself, by its loopback address", "node 127.0.0.1"],
    ["the node itself, by IPv6", "node fd00:113::1"],
    ["outside, by IPv4", "outside 203.0.113.1"],
    ["outside, by IPv6", "outside fd00:113::1"],
    ["the pod itself", "one 203.0.113.1"],
  ])("TCP from %s", (_, from) => expect(json(`TCP from ${from}`)).toBeGreaterThan(BYTES / 10))
})

describe("bandwidth", () => {
  test("polices what the pod sends, and shapes what it gets", () => {
    const actions = json("filters").flatMap(
      ({ options }: { options?: { actions?: object[] } }) => options?.actions ?? [],
    )
    expect(actions).toMatchObject([{ kind: "police", control_action: { type: "drop" } }])
    expect(text("filters as text")).toMatch(/police 0x\w+ rate 80Kbit burst \S+ mtu \S+ action drop/)
    expect(json("qdiscs")).toMatchObject([{ kind: "tbf", options: { rate: 10_000_000 } }, { kind: "ingress" }])
    expect(ifbs("ifbs")).toEqual([])
  })

  test("drops what is beyond the limit", () => expect(json("dropped")).toBeGreaterThan(0))
})

describe("CHECK", () => {
  test.each(["bridge", "portmap", "bandwidth"])("of %s is content after ADD", (plugin) => {
    expect(text(`${plugin} CHECK`)).toBe("")
  })

  test.each([
    ["bridge", "10.9.0.2/24", /address 10\.9\.0\.2\/24 is missing on eth0/],
    ["portmap", "its rules", /8080/],
    ["bandwidth", "its filter", /has no filter/],
  ])("of %s names what is missing: %s", (plugin, _, message) => {
    expect(json(`${plugin} CHECK of less`).msg).toMatch(message)
  })
})

describe("DEL", () => {
  test("takes back everything of the pod, and nothing of the other", () => {
    expect(text("DEL")).toBe("")
    expect(json("ports without one")).toMatchObject([{ ifname: json("bridge ADD two").interfaces[1].name }])
    const leases = text("leases without one").split("\n")
    expect([leases.includes("10.9.0.2"), leases.includes("fd00:9::2")]).toEqual([false, false])
    expect(leases).toEqual(expect.arrayContaining(["10.9.0.3", "fd00:9::3"]))
    for (const address of ["10.9.0.2", "fd00:9::2"]) expect(rules("ruleset without one", `"${address}"`)).toEqual([])
    expect(rules("ruleset without one", "masq_checks", "10.9.0.3")).toHaveLength(1)
  })

  test("is happy when repeated", () => expect(text("DEL again")).toBe(""))
})

describe("GC, after a pod's namespace went without DEL", () => {
  test("there was something left of it", () => {
    expect(text("leases of three")).toContain("10.9.0.4")
    expect(ifbs("ifbs of three")).toEqual([expect.stringMatching(/^bwp/)])
    expect(rules("ruleset of three", '"dnat":', "10.9.0.4")).toHaveLength(1)
  })

  test("takes back the lease, the rules and the ifb, and leaves the other pod's", () => {
    for (const removed of ["lease 10.9.0.4 fd00:9::4", "host ports of three", "bwp"])
      expect(text("GC")).toContain(`removed ${removed}`)
    const leases = text("leases after GC").split("\n")
    expect([leases.includes("10.9.0.4"), leases.includes("fd00:9::4")]).toEqual([false, false])
    expect(leases).toEqual(expect.arrayContaining(["10.9.0.3", "fd00:9::3"]))
    expect(ifbs("ifbs after GC")).toEqual([])
    for (const address of ["10.9.0.4", "fd00:9::4"]) expect(rules("ruleset after GC", `"${address}"`)).toEqual([])
    expect(rules("ruleset after GC", "masq_checks", "10.9.0.3")).toHaveLength(1)
  })
})

/** Of which the other end counts only what it has read when it hears that all were sent. */
const BYTES = 500_000

const script = `
set -e
export CNI_PATH=/opt/cni/bin CNI_IFNAME=eth0
say() { printf '\\n== %s\\n' "$*"; }

# call COMMAND POD PLUGIN KEYS: of a network with these keys, after the answer to ADD that $prev names
call() {
  prevResult=\${prev:+,\\"prevResult\\":$(cat $prev)}
  echo "{\\"cniVersion\\":\\"1.1.0\\",\\"name\\":\\"net\\",\\"type\\":\\"$3\\",$4$prevResult}" |
    CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 $CNI_PATH/$3 2>&1
}
bridge='"bridge":"cni0","isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","dataDir":"/run/leases",
  "ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"fd00:9::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}'
portmap='"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":5201,"protocol":"tcp"}]}'
bandwidth='"ingressRate":80000000,"ingressBurst":8000000,"egressRate":80000,"egressBurst":80000'

ip netns add outside
ip link add uplink up type veth peer name eth0 netns outside
ip address add 203.0.113.1/24 dev uplink; ip address add fd00:113::1/64 nodad dev uplink
ip -n outside address add 203.0.113.2/24 dev eth0; ip -n outside address add fd00:113::2/64 nodad dev eth0
ip -n outside link set eth0 up

say machine; uname -m
for plugin in $(ls $CNI_PATH); do say $plugin VERSION; CNI_COMMAND=VERSION $CNI_PATH/$plugin; done

for pod in one two; do
  ip netns add $pod
  ip -n $pod link set lo up
  say bridge ADD $pod; call ADD $pod bridge "$bridge" | tee /run/$pod
done
say addresses; ip -n one -j address show eth0
say routes; { ip -n one -j route; ip -n one -j -6 route; } | jq -M -s add
say ports; ip -j link show master cni0
say leases; ls -1 /run/leases/net
for address in 10.9.0.3 fd00:9::3 10.9.0.1 fd00:9::1 203.0.113.2 fd00:113::2; do
  say ping $address; ip netns exec one ping -q -c 1 -W 20 $address
done
say ping from outside; ip netns exec outside ping -q -c 1 -W 1 10.9.0.2 2>&1 || echo 0 received

# transfer OPTIONS: prints how many bytes arrived, once the server is there
transfer() {
  for attempt in 1 2 3 4 5 6 7 8 9; do
    $in iperf3 -J -n ${BYTES} -c "$@" >/run/transfer && break
    sleep 1
  done
  jq -M .end.sum_received.bytes /run/transfer
}
for pod in one two; do ip netns exec $pod iperf3 -s -D; done
for address in 10.9.0.3 fd00:9::3; do say TCP to $address; in='ip netns exec one' transfer $address; done

prev=/run/one
call ADD one portmap "$portmap" >/dev/null
say ruleset; nft -j list ruleset
for address in 203.0.113.1 127.0.0.1 fd00:113::1; do say TCP from node $address; in= transfer $address -p 8080; done
for address in 203.0.113.1 fd00:113::1; do
  say TCP from outside $address; in='ip netns exec outside' transfer $address -p 8080
done
say TCP from one 203.0.113.1; in='ip netns exec one' transfer 203.0.113.1 -p 8080

call ADD one bandwidth "$bandwidth" >/dev/null
vhost=$(jq -r '.interfaces[1].name' /run/one)
say filters; tc -j filter show dev $vhost parent ffff:
say filters as text; tc filter show dev $vhost parent ffff:
say qdiscs; tc -j qdisc show dev $vhost
say ifbs; ip -j link show type ifb
ip netns exec one ping -q -f -c 300 -s 1400 -w 3 10.9.0.1 >/dev/null || true
say dropped; tc -j -s filter show dev $vhost parent ffff: | jq -M '[.[].options.actions[]?.stats.drops] | add'

say bridge CHECK; call CHECK one bridge "$bridge"
say portmap CHECK; call CHECK one portmap "$portmap"
say bandwidth CHECK; call CHECK one bandwidth "$bandwidth"
ip -n one address del 10.9.0.2/24 dev eth0
say bridge CHECK of less; call CHECK one bridge "$bridge" || true
nft delete table ip cni_hostport
say portmap CHECK of less; call CHECK one portmap "$portmap" || true
tc filter del dev $vhost parent ffff:
say bandwidth CHECK of less; call CHECK one bandwidth "$bandwidth" || true

say DEL; call DEL one bandwidth "$bandwidth"; call DEL one portmap "$portmap"; call DEL one bridge "$bridge"
say ports without one; ip -j link show master cni0
say leases without one; ls -1 /run/leases/net
say ruleset without one; nft -j list ruleset
ip netns del one
say DEL again; call DEL one bandwidth "$bandwidth"; call DEL one portmap "$portmap"; call DEL one bridge "$bridge"

ip netns add three
prev=
call ADD three bridge "$bridge" >/run/three
prev=/run/three
call ADD three portmap "$portmap" >/dev/null
call ADD three bandwidth "$bandwidth,\\"egressMode\\":\\"ifb\\"" >/dev/null
ip netns del three
say leases of three; ls -1 /run/leases/net
say ifbs of three; ip -j link show type ifb
say ruleset of three; nft -j list ruleset
prev=
valid='"cni.dev/valid-attachments":[{"containerID":"two","ifname":"eth0"}]'
say GC; for plugin in bandwidth portmap bridge; do eval "call GC '' $plugin \\"\\$$plugin,\\$valid\\""; done
say leases after GC; ls -1 /run/leases/net
say ifbs after GC; ip -j link show type ifb
say ruleset after GC; nft -j list ruleset
`
