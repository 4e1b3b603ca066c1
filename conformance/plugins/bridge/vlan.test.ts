import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import type { Outcome, Result } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import { type GuestResult, runInGuest, section } from "../../systems/vm/guest.ts"
import { type Config, hostLocalAt, V4, V6 } from "./network.ts"
import { mask } from "./observed.ts"

interface Case {
  readonly config: Config
  /** The VLANs of the pod's port, as vlan() prints them. */
  readonly port: readonly string[]
  /** Of the port that leads to the gateway's interface. */
  readonly gateway?: readonly string[]
  /** The gateway's addresses. */
  readonly addresses?: readonly string[]
}

const tagged = (...ids: number[]) => ids.map(String)
const native = (id: number) => `${id} PVID untagged`
const range = (min: number, max: number) => Array.from({ length: max - min + 1 }, (_, n) => min + n)
const ipam = (...subnets: string[]) => hostLocalAt("'$ipam'", subnets)

const CASES: Readonly<Record<string, Case>> = {
  "vlan 100": { config: { vlan: 100 }, port: [native(100)] },
  "vlan 4094": { config: { vlan: 4094 }, port: [native(4094)] },
  "vlan 100, default VLAN preserved": {
    config: { vlan: 100, preserveDefaultVlan: true },
    port: ["1 untagged", native(100)],
  },
  "trunk of 101 and 200 to 210": {
    config: { vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 210 }] },
    port: [native(1), ...tagged(101, ...range(200, 210))],
  },
  "trunk that names VLANs twice and in disorder": {
    config: { vlanTrunk: [{ id: 300 }, { minID: 299, maxID: 301, id: 5 }, { minID: 9, maxID: 9 }] },
    port: [native(1), ...tagged(5, 9, 299, 300, 301)],
  },
  "trunk with the native VLAN in it": {
    config: { vlanTrunk: [{ minID: 1, maxID: 3 }] },
    port: [native(1), ...tagged(2, 3)],
  },
  "trunk, default VLAN preserved": {
    config: { vlanTrunk: [{ id: 101 }], preserveDefaultVlan: true },
    port: [native(1), "101"],
  },
  "empty trunk": { config: { vlanTrunk: [] }, port: [native(1)] },
  "vlan 100 and trunk": {
    config: { vlan: 100, vlanTrunk: [{ id: 101 }, { id: 102 }] },
    port: [native(100), ...tagged(101, 102)],
  },
  "vlan 100 with a gateway": {
    config: { vlan: 100, isGateway: true, mtu: 1450, ipam: ipam(V4) },
    port: [native(100)],
    gateway: [native(100)],
    addresses: ["10.244.1.1/24"],
  },
  "vlan 100 with a dual-stack default gateway": {
    config: { vlan: 100, isDefaultGateway: true, ipam: ipam(V4, V6) },
    port: [native(100)],
    gateway: [native(100)],
    addresses: ["10.244.1.1/24", "fd00:10:244:1::1/64"],
  },
  "vlan 100 with a gateway, default VLAN preserved": {
    config: { vlan: 100, isGateway: true, preserveDefaultVlan: true, ipam: ipam(V4) },
    port: ["1 untagged", native(100)],
    gateway: ["1 untagged", native(100)],
    addresses: ["10.244.1.1/24"],
  },
}

const IMPLEMENTATIONS = ["ours", "reference"] as const

let guest: GuestResult
const json = <Value>(name: string): Value => JSON.parse(section(guest, name))

beforeAll(async () => {
  const plugins = ["bridge", "host-local"]
  const files = IMPLEMENTATIONS.flatMap((implementation) =>
    plugins.map((plugin) => [`/opt/${implementation}/${plugin}`, join(binDirectory(implementation), plugin)]),
  )
  guest = await runInGuest({ files: Object.fromEntries(files), script: script(), timeoutSeconds: 280 })
})

/** A port's VLANs, such as `100 PVID untagged` and `101`. */
function vlans(name: string, ifname: string): string[] {
  const port = json<(Described & { vlans: { vlan: number; flags?: string[] }[] })[]>(`${name}: vlans`).find(
    (candidate) => candidate.ifname === ifname,
  )
  const words = (flags: string[] = []) => flags.map((flag) => (flag === "PVID" ? " PVID" : " untagged")).join("")
  return port?.vlans.map(({ vlan, flags }) => `${vlan}${words(flags)}`) ?? []
}

describe.each(Object.entries(CASES))("%s", (name, { port, gateway, addresses = [] }) => {
  test("is what the pod's port carries, on a bridge that filters VLANs, and CHECK and DEL succeed", () => {
    const { interfaces = [] } = json<Result>(`${name}, ours: add`)
    expect(vlans(`${name}, ours`, interfaces[1]?.name ?? "")).toEqual(port)
    const bridge = json<Described[]>(`${name}, ours: links`).find(({ ifname }) => ifname === "cni0")
    expect(bridge?.linkinfo?.info_data).toMatchObject({ vlan_filtering: 1 })
    expect(section(guest, `${name}, ours: check`)).toBe("exit code 0\n")
    expect(section(guest, `${name}, ours: del`)).toBe("exit code 0\n")
  })

  if (gateway) {
    test("has its gateway on an interface of its own, listed last, whose port carries that VLAN", () => {
      const result = json<Result>(`${name}, ours: add`)
      expect(result.interfaces?.map((link) => link.name)).toEqual([
        "cni0",
        expect.stringMatching(/^veth/),
        "eth0",
        "cni0.100",
      ])
      const links = json<Described[]>(`${name}, ours: links`)
      const own = links.find(({ ifname }) => ifname === "cni0.100")
      expect(section(guest, `${name}, ours: accept_ra`)).toMatch(/^(\S+:0\n){4}$/)
      expect(own).toMatchObject({ address: result.interfaces?.[3]?.mac, flags: expect.arrayContaining(["UP"]) })
      const other = links.find(({ ifname }) => ifname === own?.["link"])
      expect(other).toMatchObject({ master: "cni0", mtu: links.find(({ ifname }) => ifname === "cni0")?.mtu })
      expect(vlans(`${name}, ours`, other?.ifname ?? "")).toEqual(gateway)
      const of = (ifname: string) =>
        links.find((link) => link.ifname === ifname)?.addr_info?.filter(({ scope }) => scope === "global")
      expect(of("cni0.100")?.map(({ local, prefixlen }) => `${local}/${prefixlen}`)).toEqual(addresses)
      expect(of("cni0")).toEqual([])
      expect(section(guest, `${name}, ours: ping`)).toBe(addresses.map(() => "answered\n").join(""))
    })
  }

  test("is the same as with the reference: the result, the ports and their VLANs, after ADD and after DEL", () => {
    const seen = (implementation: Implementation) => {
      const text = (what: string) => mask(section(guest, `${name}, ${implementation}: ${what}`), /\/run\/netns\/\w+/)
      const table = (what: string) => JSON.parse(text(what)).sort(byName)
      return { result: text("add"), vlans: table("vlans"), deleted: table("vlans after") }
    }
    expect(seen("ours")).toEqual(seen("reference"))
  })
})

function byName(a: Described, b: Described): number {
  return JSON.stringify(a).localeCompare(JSON.stringify(b))
}

describe("an existing bridge", () => {
  test("is made to filter VLANs (the reference leaves the pods of all VLANs together), and its pods stay connected", () => {
    expect(section(guest, "filtering before")).toBe("0\n")
    expect(section(guest, "filtering after ours")).toBe("1\n")
    expect(section(guest, "filtering after the reference")).toBe("0\n")
    expect(section(guest, "old pods")).toBe("answered\n")
  })

  test("keeps not filtering when the ADD fails", () => {
    expect(json<Outcome["error"]>("failing add")).toMatchObject({ code: 102 })
    expect(section(guest, "filtering after a failure")).toBe("0\n")
    expect(section(guest, "ports after a failure")).toBe("")
  })
})

test("pods reach those of their VLAN and no others", () => {
  expect(section(guest, "same VLAN")).toBe("answered\n")
  expect(section(guest, "other VLAN")).toBe("no answer\n")
  expect(section(guest, "trunk to a VLAN")).toBe("answered\n")
})

test("the gateway of a VLAN is used by the next pod, stays after DEL, and is not in the way of another network", () => {
  expect(section(guest, "gateway again")).toBe(section(guest, "gateway once"))
  expect(section(guest, "gateway after DEL")).toBe(section(guest, "gateway once"))
  expect(json<Outcome["error"]>("conflict")).toMatchObject({
    code: 102,
    msg: '"cni0.100" already has an IP address different from 10.77.0.1/16',
  })
})

test("CHECK finds a VLAN that was removed", () => {
  expect(json<Outcome["error"]>("check without VLAN")).toMatchObject({
    code: 104,
    msg: expect.stringMatching(/^VLAN 101 is missing on veth/),
  })
})

/** Programs start slowly in the guest: what the shell can do itself, it does. */
const PRELUDE = `
say() { printf '\\n== %s\\n' "$1"; }
call() { # IMPLEMENTATION COMMAND POD
  printf %s "$config" | CNI_COMMAND=$2 CNI_CONTAINERID=$3 CNI_NETNS=/run/netns/$3 CNI_IFNAME=eth0 CNI_PATH=/opt/$1 \\
    nsenter --net=/run/netns/$node /opt/$1/bridge
}
node() { nsenter --net=/run/netns/$node -- "$@"; }
answered() { # POD ADDRESS
  nsenter --net=/run/netns/$1 ping -n -q -c 1 -W 3 $2 >/dev/null 2>&1 && echo answered || echo no answer
}
fresh() { # POD...
  made=$((made + 1))
  node=node$made
  ipam=/run/ipam$made
  for name in $node "$@"; do echo netns add $name; done | ip -b -
}
filtering() { node ip -d -j link show cni0 | jq -M '.[0].linkinfo.info_data.vlan_filtering'; }
check() { # POD
  config="\${config%?},\\"prevResult\\":$result}"
  call ours CHECK $1
}
`

function script(): string {
  const cases = Object.entries(CASES).flatMap(([name, one]) =>
    IMPLEMENTATIONS.map((implementation) => observed(`${name}, ${implementation}`, implementation, one)),
  )
  return [PRELUDE, ...cases, STORIES].join("\n")
}

function observed(name: string, implementation: Implementation, { config, addresses = [] }: Case): string {
  const more = `
say "${name}: links"
node ip -d -j addr
say "${name}: accept_ra"
node sh -c 'cd /proc/sys/net/ipv6/conf; grep -s "" cni0*/accept_ra veth*/accept_ra'
say "${name}: ping"
${addresses.map((address) => `answered pod$made ${address.replace(/\/.*/, "")}`).join("\n")}
say "${name}: check"
check pod$made
echo "exit code $?"`
  return `
fresh pod$((made + 1))
${write(config)}
result=$(call ${implementation} ADD pod$made)
say "${name}: add"
printf %s "$result"
say "${name}: vlans"
node bridge -j vlan
${implementation === "ours" ? more : ""}
say "${name}: del"
call ${implementation} DEL pod$made
echo "exit code $?"
say "${name}: vlans after"
node bridge -j vlan
`
}

function write(config: Config): string {
  const whole = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "cni0", ...config }
  return `config='${JSON.stringify(whole)}'`
}

const STORIES = `
fresh a a2 a3 a4
${write({})}
call ours ADD a >/dev/null
call ours ADD a2 >/dev/null
for n in "" 2; do ip -n a$n addr add 10.9.0.1$n/24 dev eth0; done
say "filtering before"
filtering
${write({ vlan: 100 })}
call reference ADD a3 >/dev/null
say "filtering after the reference"
filtering
${write({ vlan: 100, isGateway: true, ipam: ipam("10.77.0.0/16") })}
node ip link add cni0.100 type dummy
say "failing add"
call ours ADD a4
say "filtering after a failure"
filtering
say "ports after a failure"
ip -n a4 -j link show eth0 2>/dev/null
node ip link del cni0.100
${write({ vlan: 100 })}
call ours ADD a4 >/dev/null
say "filtering after ours"
filtering
say "old pods"
answered a 10.9.0.12

fresh b b2 b3 b4
${write({ vlan: 100 })}
call ours ADD b >/dev/null
call ours ADD b2 >/dev/null
${write({ vlan: 200 })}
call ours ADD b3 >/dev/null
${write({ vlanTrunk: [{ id: 101 }, { id: 200 }] })}
result=$(call ours ADD b4)
for n in "" 2 3; do ip -n b$n addr add 10.9.0.1$n/24 dev eth0; done
ip -n b4 link add link eth0 name eth0.200 type vlan id 200
ip -n b4 addr add 10.9.0.14/24 dev eth0.200
ip -n b4 link set eth0.200 up
say "same VLAN"
answered b 10.9.0.12
say "other VLAN"
answered b 10.9.0.13
say "trunk to a VLAN"
answered b4 10.9.0.13
say "check without VLAN"
node bridge vlan del dev $(echo "$result" | jq -r '.interfaces[1].name') vid 101
check b4

fresh c c2
${write({ vlan: 100, isGateway: true, ipam: ipam(V4) })}
call ours ADD c >/dev/null
say "gateway once"
node ip -br addr show cni0.100
call ours ADD c2 >/dev/null
say "gateway again"
node ip -br addr show cni0.100
call ours DEL c
call ours DEL c2
say "gateway after DEL"
node ip -br addr show cni0.100
${write({ vlan: 100, isGateway: true, ipam: ipam("10.77.0.0/16") })}
say "conflict"
call ours ADD c
`
